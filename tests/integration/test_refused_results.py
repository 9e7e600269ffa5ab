"""What the database refuses holds up no move, whosever it is and however often that happens.

The same outage is lived through in virtual time, by the real jobs on a real PostgreSQL, with and without
triggers that refuse; it has to be answered at the same instant.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import structlog.testing

from monitor.domain.outcome import Outcome
from monitor.domain.provider import Purpose
from monitor.storage.address import Address, connect
from tests import postgres
from tests.records_of_moves import RecordedMove, check_records
from tests.virtual_daemon import VirtualDaemon
from tests.virtual_time import VirtualLoop

SERVES, FOLLOWS, OTHER = 1, 2, 3
REFUSE = """
CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {when} THEN
        RAISE EXCEPTION 'refused' USING ERRCODE = '22000';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON monitor.{table} FOR EACH ROW EXECUTE FUNCTION refuse_{table}();
"""
NOTHING: dict[str, str] = {}
ALL_OF_ANOTHER = dict.fromkeys(("results", "healths"), f"NEW.provider_id = {OTHER}")
THE_THIRD_FAILURE = {  # and any later one, as no more than two are stored
    "results": f"NEW.provider_id = {SERVES} AND NEW.outcome <> 'ok' AND"
    f" (SELECT count(*) FROM monitor.results WHERE provider_id = {SERVES} AND outcome <> 'ok') = 2"
}
WELL_FOR_SECONDS = 70.2
TICK_SECONDS = 0.05
MOST = timedelta(seconds=300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """How an outage was answered.

    Attributes:
        after: it began; None when it never was.
        moves: as they are recorded.
        unstored: whose results were taken in and are not stored, and what they showed.
        refused: how many results the daemon said that it drops.
        failures: what it said of writes that failed.
    """

    after: timedelta | None
    moves: list[RecordedMove]
    unstored: list[tuple[int, Outcome]]
    refused: int
    failures: list[str]


def live_through(server: Address, refuse: Mapping[str, str], dying: Sequence[int]) -> Answered:
    """Let servers die, while results of the others come in all the time."""
    address = asyncio.run(_prepare(server, refuse))
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        with tempfile.TemporaryDirectory(prefix="lm-") as folder:
            daemon = VirtualDaemon(loop, address, Path(folder))
            return loop.run_until_complete(_live_through(loop, daemon, address, dying))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        asyncio.run(postgres.drop(address))


async def _prepare(server: Address, refuse: Mapping[str, str]) -> Address:
    address = await postgres.clone(server)
    sql = await connect(address)
    try:
        for table, when in refuse.items():
            await sql.execute(REFUSE.format(table=table, when=when))
        for id_ in (SERVES, FOLLOWS, OTHER):
            await sql.execute(
                "INSERT INTO ai_servers (name, server_type, base_url, model_path)"
                " VALUES ($1, 'vllm', 'http://10.0.0.5:8000', 'm')",
                f"server {id_}",
            )
        await sql.execute(
            "INSERT INTO active_providers VALUES"
            f" ('chat', 'ai_server', {SERVES}, 'ai_server', {FOLLOWS}, 'operator'),"
            f" ('reranking', 'ai_server', {OTHER}, NULL, NULL, 'operator')"
        )
    finally:
        await sql.close()
    return address


async def _live_through(
    loop: VirtualLoop, daemon: VirtualDaemon, address: Address, dying: Sequence[int]
) -> Answered:
    with structlog.testing.capture_logs() as logs:
        await daemon.start()
        await asyncio.sleep(WELL_FOR_SECONDS)
        began_at = daemon.now()
        daemon.weather |= dict.fromkeys(dying, Outcome.TIMEOUT)
        while not (answered := _is_answered(daemon)) and daemon.now() - began_at < MOST:
            for id_ in {FOLLOWS, OTHER}.difference(dying):
                daemon.probe_now(id_)
            await asyncio.sleep(TICK_SECONDS)
        after = daemon.now() - began_at if answered else None
        await daemon.stop()
    with loop.answers():
        sql = await connect(address)
        moves = await check_records(sql)
        stored = {row["id"].hex for row in await sql.fetch("SELECT id FROM monitor.results")}
        await sql.close()
    assert stored <= daemon.taken.keys()
    return Answered(
        after=after,
        moves=moves,
        unstored=[
            (one.target.provider.id, one.outcome) for id_, one in daemon.taken.items() if id_ not in stored
        ],
        refused=sum(one["count"] for one in logs if one["event"] == "results_refused"),
        failures=[one["event"] for one in logs if one["event"] in ("switch_impossible", "store_failing")],
    )


def _is_answered(daemon: VirtualDaemon) -> bool:
    state = daemon.lead.beliefs.purposes[Purpose.CHAT]
    assert state.seen is not None
    return state.seen.active.id != SERVES or state.stranded_since is not None


@pytest.mark.parametrize("dying", [[SERVES], [SERVES, FOLLOWS]], ids=["failover", "stranding"])
def test_what_is_refused_delays_nothing(postgres_server: Address, dying: list[int]) -> None:
    plain = live_through(postgres_server, NOTHING, dying)
    assert plain.after is not None
    assert (plain.unstored, plain.refused) == ([], 0)
    assert len(plain.moves) == 2 - len(dying)

    others = live_through(postgres_server, ALL_OF_ANOTHER, dying)
    assert (others.after, others.failures) == (plain.after, [])
    assert set(others.unstored) == {(OTHER, Outcome.OK)}
    assert others.refused == len(others.unstored) > 100
    assert [len(one.evidence) for one in others.moves] == [len(one.evidence) for one in plain.moves]

    own = live_through(postgres_server, THE_THIRD_FAILURE, dying)
    assert (own.after, own.failures) == (plain.after, [])
    assert own.unstored == [(SERVES, Outcome.TIMEOUT)] * own.refused
    assert own.refused == 1
    assert [len(one.evidence) for one in own.moves] == [len(one.evidence) - 1 for one in plain.moves]
