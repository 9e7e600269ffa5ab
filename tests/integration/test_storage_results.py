"""Results: stored once, exactly, in partitions of days."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from monitor.domain.outcome import Outcome, ProbeResult, Readings, ResultId
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.target import ModelName, ProbeKind, TargetId
from monitor.storage.address import Address, connect
from monitor.storage.partitions import ensure_partitions, prune
from monitor.storage.results import fetch_results, insert_results, recent_results, spent_since

KEY = ProviderRef(type=ProviderType.API_KEY, id=1)
SERVER = ProviderRef(type=ProviderType.AI_SERVER, id=2)
CHAT = TargetId(provider=KEY, purpose=Purpose.CHAT)
NOON = datetime(2026, 3, 4, 12, 0, 0, 123457, tzinfo=UTC)


def result(number: int, **changes: Any) -> ProbeResult:
    """One result, a second after the one before."""
    started = NOON + timedelta(seconds=number)
    plain = ProbeResult(
        id=ResultId(f"{number:032x}"),
        target=CHAT,
        fingerprint="f",
        kind=ProbeKind.DEEP,
        outcome=Outcome.OK,
        started_at=started,
        ended_at=started + timedelta(microseconds=1),
    )
    return replace(plain, **changes)


FULL = {
    "outcome": Outcome.RATE_LIMITED,
    "latency_seconds": 0.1234567890123,
    "ttft_seconds": 0.1,
    "model": ModelName("m"),
    "http_status": 429,
    "retry_after": timedelta(seconds=7.5),
    "tokens_in": 5,
    "tokens_out": 8,
    "cost_usd": 1.5e-7,
    "detail": "slow down",
    "readings": Readings(
        ratelimit_remaining={"tokens": 3.0}, credit_remaining_usd=1.25, tls_expires_at=NOON, model_listed=True
    ),
}


async def partitions(connection: Any) -> list[str]:
    rows = await connection.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits "
        "WHERE inhparent = 'monitor.results'::regclass ORDER BY 1"
    )
    return [row[0].removeprefix("monitor.results_") for row in rows]


async def test_results_come_back_to_the_microsecond_and_newest_first(connection: Any) -> None:
    light = result(3, kind=ProbeKind.LIGHT)
    elsewhere = result(4, target=TargetId(provider=SERVER, purpose=None))
    stored = [result(1, **FULL), result(2), light, elsewhere]
    assert await insert_results(connection, stored) == 4
    assert await recent_results(connection, CHAT) == [light, result(2), result(1, **FULL)]
    assert await recent_results(connection, CHAT, kind=ProbeKind.DEEP, limit=1) == [result(2)]
    assert await recent_results(connection, elsewhere.target) == [elsewhere]


async def test_a_result_is_stored_once_however_often_it_is_given(connection: Any) -> None:
    assert await insert_results(connection, []) == 0
    assert await insert_results(connection, [result(1), result(1)]) == 1
    assert await insert_results(connection, [result(1), result(2)]) == 1
    assert len(await recent_results(connection, CHAT)) == 2


async def test_large_readings_stay_out_of_the_rows(connection: Any) -> None:
    await insert_results(connection, [result(1, readings=Readings(models=("a",), embedding=(0.5,)))])
    assert (await recent_results(connection, CHAT))[0].readings == Readings()


async def test_nothing_that_a_provider_says_can_fail_a_batch(connection: Any) -> None:
    wild = result(
        1,
        detail="a\x00b\ud800",
        model=ModelName("m\x00"),
        tokens_out=10**30,
        http_status=10**12,
        readings=Readings(
            ratelimit_remaining={"a\x00": float("nan"), "b": 1.0}, credit_remaining_usd=float("inf")
        ),
    )
    assert await insert_results(connection, [wild, result(2)]) == 2
    stored = (await recent_results(connection, CHAT))[1]
    assert (stored.detail, stored.model, stored.tokens_out) == ("ab?", "m", 2**63 - 1)
    assert stored.readings == Readings(ratelimit_remaining={"b": 1.0})


async def test_evidence_is_found_by_id_and_is_json(connection: Any) -> None:
    await insert_results(connection, [result(1, **FULL), result(2), result(3)])
    found = await fetch_results(connection, [result(2).id, result(1).id, ResultId("f" * 32)])
    assert [row["id"] for row in found] == [result(1).id, result(2).id]
    assert json.loads(json.dumps(found))[0]["started_at"] == result(1).started_at.isoformat()


async def test_spending_is_added_up_by_provider_from_an_instant_on(connection: Any) -> None:
    server = TargetId(provider=SERVER, purpose=None)
    await insert_results(
        connection,
        [
            result(1, cost_usd=1.0),
            result(2, cost_usd=0.25),
            result(3, cost_usd=0.5),
            result(4, target=server),
        ],
    )
    assert await spent_since(connection, result(2).started_at) == {KEY: 0.75}


async def test_a_late_result_and_one_at_midnight_get_their_own_days(connection: Any) -> None:
    midnight = datetime(2026, 3, 5, tzinfo=UTC)
    late = result(1, started_at=NOON - timedelta(days=400), ended_at=NOON)
    last = result(2, started_at=midnight - timedelta(microseconds=1), ended_at=midnight)
    await insert_results(connection, [late, last, result(3, started_at=midnight, ended_at=midnight)])
    assert await partitions(connection) == ["20250128", "20260304", "20260305"]
    assert await connection.fetchval("SELECT count(*) FROM monitor.results_20260304") == 1


async def test_days_are_made_ahead_and_dropped_when_expired(connection: Any) -> None:
    ahead = [date(2026, 3, 4), date(2026, 3, 5), date(2026, 3, 6)]
    assert await ensure_partitions(connection, NOON) == ahead
    assert await ensure_partitions(connection, NOON) == []
    await insert_results(
        connection, [result(number, started_at=NOON - timedelta(days=number)) for number in range(17)]
    )
    cutoff = datetime(2026, 3, 4, tzinfo=UTC)
    assert await prune(connection, cutoff) == ["results_20260216", "results_20260217"]
    assert (await partitions(connection))[0] == "20260218"
    assert await prune(connection, cutoff) == []
    assert await prune(connection, cutoff + timedelta(days=1)) == ["results_20260218"]


async def test_a_partition_that_is_being_read_is_left_for_later_and_inserts_go_on(
    database: Address, connection: Any
) -> None:
    await insert_results(connection, [result(1, started_at=NOON - timedelta(days=30))])
    await ensure_partitions(connection, NOON)
    reader = await connect(database)
    async with reader.transaction():
        await reader.fetch("SELECT id FROM monitor.results")
        assert await prune(connection, NOON) == []
        await insert_results(connection, [result(2), result(3, started_at=NOON + timedelta(days=9))])
    assert await prune(connection, NOON) == ["results_20260202"]
    await reader.close()


async def test_many_at_once_make_days_store_and_prune_without_a_clash(database: Address) -> None:
    connections = [await connect(database) for _ in range(6)]

    async def work(connection: Any, number: int) -> None:
        for day in range(8):
            one = result(number * 100 + day, started_at=NOON - timedelta(days=day), ended_at=NOON)
            async with connection.transaction():
                await insert_results(connection, [one])
        await prune(connection, NOON, keep=timedelta(days=30))

    await asyncio.gather(*(work(connection, number) for number, connection in enumerate(connections)))
    assert await connections[0].fetchval("SELECT count(*) FROM monitor.results") == 48
    dropped = await asyncio.gather(*(prune(one, NOON, keep=timedelta(days=3)) for one in connections))
    assert set().union(*dropped) == {f"results_202602{day}" for day in (25, 26, 27, 28)}
    for connection in connections:
        await connection.close()
