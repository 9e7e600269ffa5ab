"""`llm-monitor history` with the latencies of those that served, on a terminal and in a pipe."""

import re
from datetime import datetime, timedelta
from typing import Any

from monitor.domain.outcome import Outcome, ProbeResult
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import ProbeKind, TargetId
from monitor.probing.result_id import new_result_id
from monitor.storage.address import Address
from monitor.storage.arrivals import roll_up
from monitor.storage.results import insert_results
from tests.application_rows import ApplicationRows
from tests.command_line import environment, llm_monitor
from tests.integration.test_cli_status import adopt
from tests.terminal import open_terminal


async def measure(connection: Any, provider: str, *seconds: float) -> None:
    """A probe in each of the last hours, this one last, summed up."""
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    results = []
    for ago, took in enumerate(reversed(seconds)):
        at = now - timedelta(hours=ago, seconds=1)
        results.append(
            ProbeResult(
                id=new_result_id(int(at.timestamp() * 1000)),
                target=TargetId(provider=ProviderRef.parse(provider), purpose=Purpose.CHAT),
                fingerprint="f",
                kind=ProbeKind.DEEP,
                outcome=Outcome.OK,
                started_at=at,
                ended_at=at + timedelta(seconds=took),
                latency_seconds=took,
            )
        )
    await insert_results(connection, results)
    await roll_up(connection, now)


async def fill(connection: Any) -> None:
    rows = ApplicationRows(connection)
    one = await rows.add_server("main", "vllm", "http://127.0.0.1:1")
    two = await rows.add_server("spare", "vllm", "http://127.0.0.1:2")
    await rows.set_active("chat", one, two)
    await adopt(connection, one, two)
    await measure(connection, one, 0.25, 0.25, 0.5, 1.0)
    await measure(connection, two, 7.0)


async def test_latencies_of_whoever_served_are_drawn_when_asked_for(
    database: Address, connection: Any
) -> None:
    await fill(connection)
    env = environment(database)
    piped = await llm_monitor("history", "chat", "--since", "4h", env=env)
    assert "latency" not in piped.out
    asked = await llm_monitor("history", "chat", "--since", "4h", "--chart", env=env)
    assert "latency per 1 h since 20" in asked.out
    assert "main (ai_server:1)  p50  0." in asked.out
    assert "█" in asked.out
    assert "spare" not in asked.out.partition("latency per")[2]
    plain = await llm_monitor("history", "chat", "--chart", env={**env, "PYTHONIOENCODING": "ascii"})
    assert "main (ai_server:1)  p50  0." in plain.out
    assert plain.out.isascii()


async def test_latencies_in_json_are_by_the_hour(database: Address, connection: Any) -> None:
    await fill(connection)
    env = environment(database)
    assert "latency" not in (await llm_monitor("history", "chat", "--json", env=env)).json
    [told] = (await llm_monitor("history", "chat", "--json", "--chart", env=env)).json["latency"]
    assert (told["provider"], told["name"], len(told["hours"])) == ("ai_server:1", "main", 4)
    assert [one["passed"] for one in told["hours"]] == [1, 1, 1, 1]
    assert abs(told["hours"][-1]["latency_p50_seconds"] - 1.0) < 0.05
    assert told["hours"] == sorted(told["hours"], key=lambda one: str(one["hour"]))


async def test_a_terminal_is_shown_latencies_unless_it_wants_none(database: Address, connection: Any) -> None:
    env = environment(database)
    async with open_terminal("history", "chat", env=env, width=70) as terminal:
        await terminal.until("Nothing has happened.", "No latency was measured.")
    await fill(connection)
    async with open_terminal("history", "chat", env=env, width=70) as terminal:
        await terminal.until("latency per", "p95", "█")
        assert await terminal.end() == 0
        shown = re.sub(r"\x1b\[[\d;]*m", "", terminal.drawn)
        assert max(map(len, shown.splitlines())) <= 70
    async with open_terminal("history", "chat", "--no-chart", env=env) as terminal:
        assert await terminal.end() == 0
        assert "latency per" not in terminal.drawn
