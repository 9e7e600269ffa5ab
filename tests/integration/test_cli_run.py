"""`llm-monitor run` where it can't run, and where it is told to stop."""

import asyncio
import re
import signal
import socket
import sys
from pathlib import Path

from monitor.storage.address import Address
from tests.command_line import environment, llm_monitor
from tests.daemon import free_port, running_daemon
from tests.targets import PLANTED_KEY


async def test_a_port_that_is_taken_is_named(database: Address) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = await llm_monitor("run", env=environment(database, MONITOR_PORT=port))
    assert answer.code == 2
    assert answer.err.splitlines()[-1].startswith(f"llm-monitor: MONITOR_PORT: 127.0.0.1:{port} is in use")
    assert "Traceback" not in answer.err


async def test_what_can_not_be_used_is_named_by_where_it_was_given(open_folder: Path) -> None:
    """In the file, and at once: neither wants the database that is away."""
    config = open_folder / "monitor.toml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        url = "postgresql://u@127.0.0.1:1/d"
        config.write_text(f"port = {port}\ndatabase_url = '{url}'\n")
        config.chmod(0o600)
        answer = await llm_monitor("run", "--config", str(config))
        assert (answer.code, f"{config}:port: 127.0.0.1:{port} is in use" in answer.err) == (2, True)
        config.write_text(f"port = 0\ndatabase_url = '{url}'\nencryption_key = '{PLANTED_KEY}'\n")
        answer = await llm_monitor("run", "--config", str(config))
        assert (answer.code, f"llm-monitor: {config}:encryption_key" in answer.err) == (2, True)
    answer = await llm_monitor("status", "--config", str(config))
    assert f"{config}:database_url: {url} does not answer" in answer.refused()


async def test_a_database_that_refuses_is_named_without_its_password(database: Address) -> None:
    url = f"postgresql://nobody:{PLANTED_KEY}@/{database.database}?host={database.host}"
    answer = await llm_monitor("run", env=environment(DATABASE_URL=url, MONITOR_PORT=str(free_port())))
    assert answer.code == 2
    assert re.match(r"llm-monitor: .*nobody", answer.err.splitlines()[-1])


async def test_a_wrong_encryption_key_is_named(database: Address) -> None:
    env = environment(database, BYOK_ENCRYPTION_KEY="too short", MONITOR_PORT=str(free_port()))
    answer = await llm_monitor("run", env=env)
    assert answer.code == 2
    assert "BYOK_ENCRYPTION_KEY" in answer.err.splitlines()[-1]


async def test_ctrl_c_ends_a_daemon_without_a_word_of_complaint(database: Address) -> None:
    env = {"DATABASE_URL": database.describe(), "OPENAI_API_KEY": PLANTED_KEY, "MONITOR_PROT": "1"}
    async with running_daemon(env) as daemon:
        await daemon.ready()
        status = await llm_monitor("status", "--json", env=environment(database))
        assert (status.code, [one["role"] for one in status.json["daemons"]]) == (0, ["active"])
        assert await daemon.stop(signal.SIGINT) == 0
    assert [line["event"] for line in daemon.logs[-2:]] == ["stopping", "stopped"]
    assert len(daemon.logs) == len(daemon.raw), "the log of a daemon is JSON and nothing else"
    assert "MONITOR_PORT" in daemon.events("setting_doubtful")[0]["reason"]
    assert PLANTED_KEY not in "\n".join(daemon.raw)
    after = await llm_monitor("status", env=environment(database))
    assert after.code == 1
    assert "no daemon runs" in after.out


async def test_ctrl_c_ends_a_command_quietly(database: Address) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "monitor",
            "status",
            cwd="/",
            env=environment(DATABASE_URL=url),
            stdout=-1,
            stderr=-1,
        )
        loop = asyncio.get_running_loop()
        silent.setblocking(False)
        client, _ = await loop.sock_accept(silent)  # it is connected now, and waits for an answer
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        client.close()
    assert (process.returncode, out, err) == (130, b"", b"")
