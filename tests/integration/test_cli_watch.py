"""`llm-monitor status --watch` on a real terminal, in a pipe, and while the database goes away."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.outcome import Outcome
from monitor.storage.address import Address, connect
from monitor.storage.daemons import beat
from tests.application_rows import ApplicationRows
from tests.command_line import environment
from tests.integration.test_cli_status import DAEMON, adopt, believe
from tests.terminal import open_terminal

WATCH = ("status", "--watch")
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


async def fill(connection: Any) -> ApplicationRows:
    """Two servers, of which the first serves; all is well."""
    rows = ApplicationRows(connection)
    one = await rows.add_server("main-gpu", "vllm", "http://127.0.0.1:1")
    two = await rows.add_server("spare-gpu", "vllm", "http://127.0.0.1:2")
    await rows.set_active("chat", one, two)
    await beat(connection, DAEMON)
    await adopt(connection, one, two)
    await believe(connection, one, Outcome.OK, ApplicationStatus.HEALTHY)
    await believe(connection, two, Outcome.OK, ApplicationStatus.HEALTHY)
    return rows


async def let_in(database: Address, *, anybody: bool) -> None:
    """Whether new connections are taken."""
    other = await connect(replace(database, database="postgres"))
    await other.execute(f"ALTER DATABASE {database.database} ALLOW_CONNECTIONS {anybody}")
    await other.close()


async def shut(connection: Any, database: Address) -> None:
    """Let nobody else in, and put out who is."""
    await let_in(database, anybody=False)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


@asynccontextmanager
async def piped(*arguments: str, env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "monitor", *arguments, cwd="/", env=env, stdin=-3, stdout=-1, stderr=-1
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    async with asyncio.timeout(30):
        return (await stream.readline()).decode().rstrip("\n")


async def test_a_terminal_shows_changes_and_sizes_and_is_given_back(
    database: Address, connection: Any
) -> None:
    rows = await fill(connection)
    async with open_terminal(*WATCH, env=environment(database)) as terminal:
        before = terminal.modes()
        drawn = await terminal.until("Every purpose is served.", "main-gpu", "q or Ctrl-C ends this")
        assert ENTER in drawn
        assert "0.250 s" in drawn
        await believe(connection, "ai_server:1", Outcome.SERVER_ERROR, ApplicationStatus.DOWN)
        await terminal.until("BAD NEWS: chat is down: ai_server:1 (main-gpu)", "HTTP 500: server error")
        await rows.change("ai_server:1", name="main-gpu-" + "x" * 60)
        await terminal.until("main-gpu-xxxxxx", "…")
        terminal.resize(160, 40)
        await terminal.until("main-gpu-" + "x" * 60)
        terminal.type("q")
        assert await terminal.end() == 0
        await terminal.until(LEAVE)
        assert terminal.modes() == before


async def test_a_terminal_is_given_back_when_it_is_interrupted_or_told_to_end(
    database: Address, connection: Any
) -> None:
    await fill(connection)
    for how, code in ((signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)):
        async with open_terminal(*WATCH, env=environment(database, LANG="C")) as terminal:
            before = terminal.modes()
            assert "…" not in await terminal.until("q or Ctrl-C ends this")
            if how is signal.SIGINT:
                terminal.type("\x03")
            else:
                terminal.process.send_signal(how)
            assert await terminal.end() == code
            await terminal.until(LEAVE)
            assert "Traceback" not in terminal.drawn
            assert terminal.modes() == before


async def test_the_last_picture_stays_while_the_database_is_away(database: Address, connection: Any) -> None:
    await fill(connection)
    async with open_terminal(*WATCH, env=environment(database)) as terminal:
        await terminal.until("Every purpose is served.")
        await shut(connection, database)
        away = await terminal.until("DATABASE AWAY: this is", "Then: every purpose is served.", "main-gpu")
        assert "BAD NEWS" not in away
        await believe(connection, "ai_server:1", Outcome.SERVER_ERROR, ApplicationStatus.DOWN)
        await let_in(database, anybody=True)
        await terminal.until("BAD NEWS: chat is down")
        terminal.type("\x03")
        assert await terminal.end() == 0


async def test_a_pipe_gets_an_object_a_line_for_every_change_and_no_other(
    database: Address, connection: Any
) -> None:
    await fill(connection)
    async with piped(*WATCH, "--json", env=environment(database)) as process:
        first = json.loads(await line(process.stdout))
        assert (first["status"], first["purposes"][0]["active"]["name"]) == ("ok", "main-gpu")
        await connection.execute("UPDATE monitor.results SET latency_seconds = 0.9")
        await asyncio.sleep(3)  # it has looked again meanwhile
        await believe(connection, "ai_server:1", Outcome.SERVER_ERROR, ApplicationStatus.DOWN)
        second = json.loads(await line(process.stdout))
        assert (second["status"], second["purposes"][0]["health"]) == ("bad", "down")
        await shut(connection, database)
        assert "waiting for it" in await line(process.stderr)
        await let_in(database, anybody=True)
        assert await line(process.stderr) == "llm-monitor: the database answers again"
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert (out, err, process.returncode) == (b"", b"", 130)


async def test_a_pipe_gets_a_fresh_page_for_every_change(database: Address, connection: Any) -> None:
    await fill(connection)
    async with piped(*WATCH, env=environment(database)) as process:
        assert (await line(process.stdout)).startswith("--- 20")
        assert await line(process.stdout) == "Every purpose is served."
        await believe(connection, "ai_server:1", Outcome.SERVER_ERROR, ApplicationStatus.DOWN)
        while not (found := await line(process.stdout)).startswith("--- "):
            assert "\x1b" not in found
        assert (await line(process.stdout)).startswith("BAD NEWS: chat is down")


async def test_a_database_that_is_not_there_at_first_is_refused_in_one_line() -> None:
    env = environment(DATABASE_URL="postgresql://u@127.0.0.1:1/d")
    async with piped(*WATCH, env=env) as process:
        out, err = await process.communicate()
    assert (process.returncode, out, len(err.splitlines())) == (2, b"", 1)
