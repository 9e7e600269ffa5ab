"""What a newcomer sees: failover and failback on two local servers, with nothing left behind."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from monitor.demo.folder import default_folder
from monitor.storage.address import connect
from monitor.storage.embedded import attach
from tests.daemon import ROOT, RunningDaemon, running_daemon

PLANTED = "sk-planted-4f9a2c7d81e6b35079ac"


def surroundings(folder: Path) -> dict[str, str]:
    """A machine that has a database, keys and a daemon's folder already; the demo heeds none of them."""
    return {
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "xdg"),
        "MONITOR_DATA_DIR": str(folder / "real"),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        "BYOK_ENCRYPTION_KEY": "no key at all",
        "OPENAI_API_KEY": PLANTED,
    }


async def said(demo: RunningDaemon, text: str, seconds: float) -> None:
    await demo.until(lambda: any(text in line for line in demo.raw), f"{text!r} in the story", seconds)


async def command(*arguments: str, env: dict[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        *arguments,
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def status(folder: Path, env: dict[str, str]) -> dict[str, Any]:
    quiet = {
        name: value for name, value in env.items() if name not in ("DATABASE_URL", "BYOK_ENCRYPTION_KEY")
    }
    _, output = await command("status", "--json", "--data-dir", str(folder), env=quiet)
    found: dict[str, Any] = json.loads(output)
    return found


async def serving(folder: Path) -> str:
    """Who serves, as an application reads it."""
    connection = await connect(attach(folder))
    try:
        name: str = await connection.fetchval(
            "SELECT name FROM active_providers JOIN ai_servers ON id = provider_id"
            " WHERE purpose = 'chat' AND provider_type = 'ai_server'"
        )
    finally:
        await connection.close()
    return name


@pytest.mark.timeout(240)
async def test_a_newcomer_sees_failover_and_failback_and_nothing_is_left(open_folder: Path) -> None:
    folder, env = open_folder / "demo", surroundings(open_folder)
    run = ("--demo", "--data-dir", str(folder))
    async with running_daemon(env, *run, policy={}) as demo:
        await demo.ready()
        await said(demo, "chat moved from demo-primary to demo-fallback (rule fail_over", 90)
        assert await serving(folder) == "demo-fallback"
        (chat,) = (await status(folder, env))["purposes"]
        assert (chat["active"]["name"], chat["rule"]) == ("demo-fallback", "fail_over")

        code, refusal = await command("run", *run, env=env)
        assert (code, "a demo runs already" in refusal) == (2, True)

        await said(demo, "chat returned from demo-fallback to demo-primary (rule fail_back", 90)
        assert await serving(folder) == "demo-primary"
        found = await status(folder, env)
        assert [move["rule"] for move in found["transitions"]] == ["fail_back", "fail_over"]
        for rule in ("fail_over", "fail_back"):
            sample = f'llm_monitor_transitions_total{{purpose="chat",rule="{rule}"}}'
            assert await demo.metric(sample) == 1
        connection = await connect(attach(folder))
        audit = await connection.fetch(
            "SELECT action, user_id FROM llm_config_audit WHERE entity_type = 'active_provider' ORDER BY id"
        )
        await connection.close()
        assert [tuple(row) for row in audit] == [("promote", "monitor"), ("failback", "monitor")]

        began = time.monotonic()
        family = psutil.Process(demo.process.pid).children(recursive=True)
        assert family
        assert await demo.stop(signal.SIGINT, 5) == 0
        assert time.monotonic() - began < 5
        assert psutil.wait_procs(family, timeout=0)[1] == []
    story = "\n".join(demo.raw)
    assert "llm-monitor run` watches providers of your own" in demo.raw[-1]
    assert "Traceback" not in story
    assert "\x1b" not in story
    assert "env -u DATABASE_URL" in story
    assert PLANTED not in story + (folder / "demo.log").read_text()
    order = [
        "the daemon is ready",
        "demo-primary stops answering now",
        "probe 3 of demo-primary fails",
        "demo-primary is down",
        "chat moved",
        "demo-primary is mended",
        "demo-primary is up again",
        "chat returned",
        "ending",
    ]
    places = [story.index(line) for line in order]
    assert places == sorted(places)
    assert "does not answer" not in story
    assert not (open_folder / "real").exists()
    assert not (open_folder / "xdg").exists()


async def test_a_second_run_starts_in_seconds_from_the_beginning(open_folder: Path) -> None:
    folder, env = open_folder / "demo", surroundings(open_folder)
    run = ("--demo", "--data-dir", str(folder))
    async with running_daemon(env, *run, policy={}) as demo:
        await demo.ready()
        connection = await connect(attach(folder))
        # It is ended in the middle of the story, with some vandalism on top.
        await connection.execute(
            "UPDATE active_providers SET provider_id = fallback_provider_id, fallback_provider_id = NULL,"
            " fallback_provider_type = NULL; UPDATE ai_servers SET enabled = FALSE"
        )
        await connection.close()
        assert await demo.stop(signal.SIGINT, 5) == 0
    began = time.monotonic()
    async with running_daemon(env, *run, policy={}) as demo:
        await demo.ready()
        assert time.monotonic() - began < 15
        assert await serving(folder) == "demo-primary"
        connection = await connect(attach(folder))
        assert await connection.fetchval("SELECT count(*) FROM ai_servers WHERE enabled") == 2
        await connection.close()
        await said(demo, "demo-primary serves chat, demo-fallback stands by", 40)
        assert await demo.stop(signal.SIGINT, 5) == 0


async def test_a_taken_port_is_left_to_its_owner(open_folder: Path) -> None:
    owner = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port: int = owner.sockets[0].getsockname()[1]
    try:
        run = ("--demo", "--data-dir", str(open_folder / "demo"))
        async with running_daemon({}, *run, policy={}, port=port) as demo:
            await said(demo, f"Port {port} is taken: this demo answers on ", 60)
            (line,) = [line for line in demo.raw if "is taken" in line]
            demo.url = f"http://127.0.0.1:{line.rstrip('.').rsplit(' ', 1)[1]}"
            await demo.ready()
    finally:
        owner.close()
        await owner.wait_closed()


async def test_the_data_of_a_real_daemon_are_never_played_with(open_folder: Path) -> None:
    folder = open_folder / "real"
    (folder / "pg").mkdir(parents=True)
    code, refusal = await command("run", "--demo", "--data-dir", str(folder), env=surroundings(open_folder))
    assert code == 2
    assert "real daemon" in refusal
    assert [one.name for one in folder.iterdir()] == ["pg"]


def test_the_usual_folder_is_the_demos_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    env = {"HOME": "/home/u", "MONITOR_DATA_DIR": "/srv/monitor"}
    assert default_folder(env) == Path("/home/u/.local/share/llm-monitor-demo")
    assert default_folder(env | {"XDG_DATA_HOME": "/x"}) == Path("/x/llm-monitor-demo")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_folder(env) == Path("/var/lib/llm-monitor-demo")
