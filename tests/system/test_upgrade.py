"""A database filled by an older program is brought up to this one while the older daemon runs on it."""

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.storage.address import Address, connect
from monitor.storage.migrations import load_migrations
from tests.application_rows import ApplicationRows
from tests.command_line import environment, llm_monitor
from tests.daemon import RunningDaemon, running_daemon
from tests.fault_server import FaultServer
from tests.system.older_program import FIRST_MIGRATIONS, last_schema, older_program

RESULTS_MORE = 4
LONGEST_GAP = timedelta(seconds=6)
"""Of two probes whose interval is 1 or 1.5 s, on a machine that does more than this test."""


@pytest.fixture(params=["first", "last"])
def older(request: pytest.FixtureRequest, open_folder: Path) -> Path:
    """The first program that did its job, and the one before the last migration."""
    return older_program(FIRST_MIGRATIONS if request.param == "first" else last_schema(), open_folder)


@pytest.mark.timeout(400)  # three daemons one after the other, on a machine that runs other tests beside it
async def test_an_older_daemon_probes_on_while_its_database_is_migrated_and_hands_over(
    older: Path, empty_database: Address
) -> None:
    variables = {"DATABASE_URL": empty_database.describe()}
    connection = await connect(empty_database)
    rows = ApplicationRows(connection)
    async with FaultServer() as one, FaultServer() as two:
        async with running_daemon({**variables, "PYTHONPATH": str(older)}) as before:
            await before.ready()
            numbers = await ledger(connection)
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) < len(load_migrations()), "there is something to upgrade"
            names = [
                await rows.add_server("one", "vllm", one.url, model_path="m1", use_for_chat=True),
                await rows.add_server("two", "vllm", two.url, model_path="m1", use_for_chat=True),
            ]
            await rows.set_active("chat", *names)
            await probed(before, rows, names)

            found = await llm_monitor("migrate", "--check", env=environment(empty_database))
            assert (found.code, found.out.count("pending: ")) == (1, len(load_migrations()) - len(numbers))
            applied = await llm_monitor("migrate", env=environment(empty_database))
            assert applied.code == 0, applied
            found = await llm_monitor("migrate", "--check", env=environment(empty_database))
            assert (found.code, found.out) == (0, "nothing is pending\n")

            await probed(before, rows, names)
            async with running_daemon(variables) as after:
                await after.event("standing_by")
                await probed(before, rows, names)
                assert complaints(before) == []
                assert await before.stop() == 0
                stopped = {name: len(await rows.results(name)) for name in names}
                # Every request that a provider saw is a result, and no result is there without one.
                assert stopped == {
                    name: len(server.deep_requests) for name, server in zip(names, (one, two), strict=True)
                }
                for name in names:
                    assert await gaps(rows, name) < LONGEST_GAP
                await after.event("leading", 15)
                await probed(after, rows, names)
                assert after.events("purpose_adopted") == [], "what the older one believed is known"
                assert await after.stop() == 0
        for name, server in zip(names, (one, two), strict=True):
            assert await rows.outcomes(name) == {"ok"}
            assert len(await rows.results(name)) == len(server.deep_requests)
        assert {row["rule"] for row in await rows.transitions()} <= {"adopted"}
        assert await rows.serving() == names[0]
        summed = await connection.fetchval(
            "SELECT sum(value::int) FROM monitor.hours, jsonb_each_text(counts) WHERE kind = 'deep'"
        )
        stored = await connection.fetchval("SELECT count(*) FROM monitor.results WHERE kind = 'deep'")
        waiting = await connection.fetchval("SELECT count(*) FROM monitor.arrivals WHERE kind = 'deep'")
        assert summed + waiting == stored, "what the older one stored is summed too"
    await connection.close()


def complaints(daemon: RunningDaemon) -> list[dict[str, Any]]:
    """What it did not like, but for answers that a busy machine made slow."""
    bad = [line for line in daemon.logs if line.get("level") in {"warning", "error", "critical"}]
    return [line for line in bad if line.get("warning") != "slow"]


async def ledger(connection: Any) -> list[int]:
    return [row[0] for row in await connection.fetch("SELECT number FROM monitor.migrations ORDER BY number")]


async def probed(daemon: RunningDaemon, rows: ApplicationRows, names: list[str]) -> None:
    """Wait until each provider has some more results."""
    wanted = {name: len(await rows.results(name)) + RESULTS_MORE for name in names}

    async def enough() -> bool:
        return all([len(await rows.results(name)) >= least for name, least in wanted.items()])

    await daemon.until(enough, f"{RESULTS_MORE} more results of each provider")


async def gaps(rows: ApplicationRows, name: str) -> timedelta:
    """The longest time between two probes."""
    starts = [row["started_at"] for row in await rows.results(name)]
    longest: timedelta = max(later - sooner for sooner, later in itertools.pairwise(starts))
    return longest
