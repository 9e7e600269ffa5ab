"""The command line without a database: help, usage, settings, keys."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.command_line import environment, llm_monitor
from tests.daemon import ROOT
from tests.targets import PLANTED_KEY

COMMANDS = (
    "run",
    "status",
    "verify",
    "probe",
    "migrate",
    "generate-key",
    "rotate-key",
    "encrypt-server-keys",
    "config",
)
HEAVY = (
    "litellm",
    "openai",
    "aiohttp",
    "fastapi",
    "uvicorn",
    "apscheduler",
    "prometheus_client",
    "structlog",
    "asyncpg",
)


async def test_help_names_every_command_and_each_has_its_own() -> None:
    answer = await llm_monitor("--help")
    assert answer.code == 0
    assert all(re.search(rf"^  {name} ", answer.out, re.MULTILINE) for name in COMMANDS)
    helps = await asyncio.gather(*(llm_monitor(name, "--help") for name in ("run", "status", "probe")))
    assert all(one.code == 0 and "--env-file" in one.out for one in helps)


async def test_the_version_is_told() -> None:
    answer = await llm_monitor("--version")
    assert (answer.code, answer.out) == (0, "llm-monitor 0.1.0\n")


async def test_no_command_at_all_is_a_usage_error_that_shows_the_help() -> None:
    answer = await llm_monitor()
    assert answer.code == 2
    assert "Commands:" in answer.out


@pytest.mark.parametrize(
    "module",
    ["monitor.cli", "monitor.storage.status, monitor.cli.status_page, monitor.storage.embedded_attach"],
)
async def test_help_and_status_import_nothing_heavy(module: str) -> None:
    heavy = HEAVY if module == "monitor.cli" else HEAVY[:-1]
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("stats",), "Did you mean 'status'"),
        (("probe", "gpt:1"), "api_key:ID or ai_server:ID"),
        (("probe", "api_key:1", "--purpose", "vision"), "embeddings"),
        (("probe", "api_key:1", "--kind", "heavy"), "deep"),
        (("run", "--demo", "--adopt-env"), "--adopt-env"),
        (("verify", "chat", "extra"), "extra"),
        (("config", "--config", "/nowhere/monitor.toml"), "/nowhere/monitor.toml"),
        (("config", "--env-file", "/nowhere/.env"), "generate-key --env-file /nowhere/.env"),
        (("status", "--data-dir", "/nowhere/data"), "/nowhere/data"),
    ],
)
async def test_a_wrong_command_line_is_one_line_and_exit_2(arguments: tuple[str, ...], words: str) -> None:
    assert words in (await llm_monitor(*arguments)).refused()


async def test_a_wrong_setting_is_named() -> None:
    answer = await llm_monitor("config", env=environment(MONITOR_PORT="many"))
    assert "MONITOR_PORT" in answer.refused()


async def test_every_command_but_run_names_the_folder_when_no_daemon_runs_there(tmp_path: Path) -> None:
    commands = (["status"], ["verify"], ["probe", "api_key:1"], ["migrate"])
    for answer in await asyncio.gather(
        *(llm_monitor(*one, env=environment(MONITOR_DATA_DIR=str(tmp_path))) for one in commands)
    ):
        line = answer.refused()
        assert str(tmp_path) in line
        assert "MONITOR_DATA_DIR" in line


async def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    env = environment(DATABASE_URL=f"postgresql://u:{PLANTED_KEY}@127.0.0.1:1/d")
    line = (await llm_monitor("status", env=env)).refused()
    assert "DATABASE_URL: postgresql://u@127.0.0.1:1/d does not answer" in line


async def test_config_shows_values_origins_and_no_secret(tmp_path: Path) -> None:
    toml = tmp_path / "monitor.toml"
    toml.write_text("port = 9999\n[policy]\nfall = 2\n")
    env = environment(OPENAI_API_KEY=PLANTED_KEY, DATABASE_URL=f"postgresql://u:{PLANTED_KEY}@h/d")
    answer = await llm_monitor("config", "--json", "--config", str(toml), "--data-dir", "/srv/x", env=env)
    assert answer.code == 0
    found = {one["name"]: (one["shown"], one["origin"]) for one in answer.json}
    assert found["port"] == ("9999", f"{toml}:port")
    assert found["policy.fall"] == ("2", f"{toml}:policy.fall")
    assert found["data_dir"] == ("/srv/x", "--data-dir")
    assert found["openai_api_key"] == ("****", "environment OPENAI_API_KEY")
    assert found["host"] == ("127.0.0.1", "default")
    text = await llm_monitor("config", "--config", str(toml), env=env)
    assert re.search(r"^  port +9999 +\S+monitor.toml:port$", text.out, re.MULTILINE)


async def test_a_setting_that_looks_like_a_mistake_is_a_warning_and_no_more() -> None:
    answer = await llm_monitor("config", "--json", env=environment(MONITOR_PROT="1"))
    assert answer.code == 0
    assert "MONITOR_PROT" in answer.err
    assert "MONITOR_PORT" in answer.err


async def test_generate_key_adds_one_key_and_never_a_second(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    answer = await llm_monitor("generate-key", "--env-file", str(path))
    assert answer.code == 0
    written = path.read_text()
    assert re.fullmatch(r"BYOK_ENCRYPTION_KEY=[\w-]{43}=\n", written)
    assert written.strip().partition("=")[2] not in answer.out
    assert path.stat().st_mode & 0o777 == 0o600
    again = await llm_monitor("generate-key", "--env-file", str(path))
    assert "holds a BYOK_ENCRYPTION_KEY already" in again.refused()
    assert path.read_text() == written
    shown = await llm_monitor("config", "--json", "--env-file", str(path))
    origins = {one["name"]: one["origin"] for one in shown.json}
    assert origins["encryption_key"] == f"{path}:BYOK_ENCRYPTION_KEY"


async def test_generate_key_without_a_file_prints_a_line_for_one() -> None:
    answer = await llm_monitor("generate-key")
    assert re.fullmatch(r"BYOK_ENCRYPTION_KEY=[\w-]{43}=\n", answer.out)
    told = (await llm_monitor("generate-key", "--json")).json
    assert (told["variable"], told["env_file"]) == ("BYOK_ENCRYPTION_KEY", None)
    assert re.fullmatch(r"[\w-]{43}=", told["key"])


async def test_a_reader_that_leaves_is_no_fault() -> None:
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m monitor config | true; exit ${{PIPESTATUS[0]}}",
        executable="/bin/bash",
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert err == b""
    assert process.returncode == 141


async def test_a_fault_of_the_program_shows_frames_and_no_text() -> None:
    code = (
        "import sys\nimport monitor.cli as cli\nimport monitor.cli.config\n"
        f"def broken(*args, **kw): raise RuntimeError('{PLANTED_KEY}')\n"
        "sys.modules['monitor.cli.config'].read_settings = broken\n"
        "sys.exit(cli.run_command(['config']))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-", cwd=ROOT, stdin=-1, stdout=-1, stderr=-1, env=environment()
    )
    out, err = await process.communicate(code.encode())
    assert process.returncode == 1
    assert out == b""
    assert b"RuntimeError" in err
    assert b"in config" in err
    assert PLANTED_KEY.encode() not in err
