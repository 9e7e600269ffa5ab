"""Rows of reports are read once each, in whatever order they are committed."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from monitor.domain.reports import Report, ReportOutcome
from monitor.domain.target import TargetId
from monitor.jobs.take_reports import LATE, TakeReports
from monitor.storage.address import Address, connect
from monitor.storage.leader import LeaderSession
from monitor.storage.reports import MOST_ROWS, ReportBatch, add_reports, prune_reports
from tests.integration.test_reports import CHAT
from tests.replay_world import World, quick_policy


class Taken(TakeReports):
    """Keeps what it takes."""

    def keep(self) -> None:
        self.sources: list[str] = []

    def take(self, id_: TargetId, reports: Sequence[Report]) -> None:
        assert id_ == CHAT
        self.sources += [one.source for one in reports]


@pytest.fixture
async def session(database: Address) -> AsyncIterator[LeaderSession]:
    session = LeaderSession(database)
    await session.open()
    yield session
    await session.close()


@pytest.fixture
async def other(database: Address) -> AsyncIterator[Any]:
    opened = await connect(database)
    yield opened
    await opened.close()


@pytest.fixture
async def reports() -> Taken:
    world = World(quick_policy())
    own = world.reports
    taken = Taken(
        beliefs=own._beliefs,
        pending=own._pending,
        journal=own._journal,
        judge=own._judge,
        probes=own._probes,
        metrics=own._metrics,
        now=lambda: world.now,
    )
    taken.keep()
    taken.world = world  # type: ignore[attr-defined]
    return taken


def batch(source: str) -> ReportBatch:
    return ReportBatch(
        target=CHAT, source=source, via="library", ages_seconds=[0.0], outcomes=[ReportOutcome.TIMEOUT]
    )


async def test_what_was_there_before_is_not_read(
    reports: Taken, session: LeaderSession, connection: Any
) -> None:
    await add_reports(connection, [batch("before")])
    await reports._read(session)
    await add_reports(connection, [batch("after")])
    await reports._read(session)
    await reports._read(session)
    assert reports.sources == ["after"]


async def test_a_row_that_is_committed_late_is_read_once(
    reports: Taken, session: LeaderSession, connection: Any, other: Any
) -> None:
    await reports._read(session)
    late = connection.transaction()
    await late.start()
    await add_reports(connection, [batch("late")])
    await add_reports(other, [batch("early")])
    await reports._read(session)
    assert reports.sources == ["early"]
    await late.commit()
    for _ in range(2):
        await reports._read(session)
    assert reports.sources == ["early", "late"]


async def test_a_row_that_never_comes_is_not_waited_for(
    reports: Taken, session: LeaderSession, connection: Any, other: Any
) -> None:
    await reports._read(session)
    undone = connection.transaction()
    await undone.start()
    await add_reports(connection, [batch("undone")])
    await undone.rollback()
    await add_reports(other, [batch("early")])
    await reports._read(session)
    assert len(reports._missing) == 1
    reports.world.now += LATE  # type: ignore[attr-defined]
    await reports._read(session)
    assert reports._missing == {}


async def test_many_rows_are_read_in_pieces(reports: Taken, session: LeaderSession, connection: Any) -> None:
    await reports._read(session)
    for _ in range(3):
        await add_reports(connection, [batch(f"{number}") for number in range(MOST_ROWS // 2)])
    assert await reports._read(session) is True
    assert await reports._read(session) is False
    assert len(reports.sources) == MOST_ROWS // 2 * 3


async def test_rows_that_name_what_nobody_knows_are_passed_over(
    reports: Taken, session: LeaderSession, connection: Any
) -> None:
    await reports._read(session)
    await add_reports(connection, [batch("good")])
    await connection.execute("UPDATE monitor.reports SET purpose = 'poetry'")
    await add_reports(connection, [batch("better")])
    await connection.execute("UPDATE monitor.reports SET outcomes = '{nonsense}' WHERE source = 'better'")
    await reports._read(session)
    assert (reports.sources, reports._missing) == ([], {})


async def test_what_has_expired_is_dropped(connection: Any) -> None:
    await add_reports(connection, [batch("one")])
    received = await connection.fetchval("SELECT received_at FROM monitor.reports")
    await prune_reports(connection, received)
    assert await connection.fetchval("SELECT count(*) FROM monitor.reports") == 1
    await prune_reports(connection, received + LATE)
    assert await connection.fetchval("SELECT count(*) FROM monitor.reports") == 0
