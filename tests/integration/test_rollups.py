"""Sums and minutes, read back, are what a plain reckoning of all results gives, however those came."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.domain.histogram import Histogram
from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.rollup import hour_of
from monitor.domain.target import ProbeKind, TargetId
from monitor.domain.uptime import Uptime
from monitor.storage.arrivals import roll_up
from monitor.storage.results import insert_results
from monitor.storage.rollups import read_days, read_hours, read_purpose_days
from monitor.storage.uptime import SPANS, read_purpose_uptimes, read_uptimes

BEGIN = datetime(2026, 3, 1, 20, tzinfo=UTC)
END = BEGIN + timedelta(hours=9)
"""Past midnight: two days."""
TARGETS = [
    TargetId(provider=ProviderRef(type=ProviderType.API_KEY, id=1), purpose=Purpose.CHAT),
    TargetId(provider=ProviderRef(type=ProviderType.API_KEY, id=1), purpose=Purpose.EMBEDDINGS),
    TargetId(provider=ProviderRef(type=ProviderType.AI_SERVER, id=1), purpose=Purpose.CHAT),
]

seconds = st.one_of(st.none(), st.floats(0.0001, 500))
results = st.builds(
    ProbeResult,
    id=st.uuids(version=4).map(lambda one: ResultId(one.hex)),
    target=st.sampled_from(TARGETS),
    fingerprint=st.just("f"),
    kind=st.sampled_from([ProbeKind.DEEP, ProbeKind.DEEP, ProbeKind.LIGHT]),
    outcome=st.sampled_from([Outcome.OK, Outcome.OK, *Outcome]),
    started_at=st.integers(0, 8 * 3600).map(lambda offset: BEGIN + timedelta(seconds=offset)),
    ended_at=st.just(END),
    latency_seconds=seconds,
    ttft_seconds=seconds,
    tokens_in=st.one_of(st.none(), st.integers(0, 1000)),
    tokens_out=st.one_of(st.none(), st.integers(0, 1000)),
    cost_usd=st.one_of(st.none(), st.floats(0, 1)),
    reach=st.one_of(
        st.none(), st.sampled_from([0, 59, 110, 200, 920, 10_930]).map(lambda s: timedelta(seconds=s))
    ),
)


@dataclass(frozen=True)
class Step:
    """A batch that is stored, and how long after the begin what is there is rolled up."""

    batch: Sequence[ProbeResult]
    rolled_up_after: timedelta | None


@st.composite
def courses(draw: st.DrawFn) -> list[Step]:
    """All results, in any order and batches, some of them more than once, with rolling up in between."""
    known = draw(st.lists(results, min_size=1, max_size=40, unique_by=lambda one: one.id))
    again = draw(st.lists(st.sampled_from(known), max_size=10))
    order = draw(st.permutations([*known, *again]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    times = draw(
        st.lists(st.one_of(st.none(), st.integers(0, 9 * 60)), min_size=len(cuts) + 1, max_size=len(cuts) + 1)
    )
    at = iter(sorted(one for one in times if one is not None))
    return [
        Step(order[begin:end], None if moment is None else timedelta(minutes=next(at)))
        for begin, end, moment in zip([0, *cuts], [*cuts, len(order)], times, strict=True)
    ]


def reckon_minutes(known: Iterable[ProbeResult], now: datetime) -> dict[datetime, bool]:
    """Up (True) and down of every known minute of one target: result by result, as docs say it."""
    deep = [one for one in known if one.kind is ProbeKind.DEEP]
    passed = {_minute(one) for one in deep if one.outcome is Outcome.OK}
    failures = {
        Outcome.UNREACHABLE,
        Outcome.TIMEOUT,
        Outcome.SERVER_ERROR,
        Outcome.BAD_RESPONSE,
        Outcome.QUOTA_EXHAUSTED,
        Outcome.AUTH_FAILED,
        Outcome.MODEL_MISSING,
    }
    failed = {_minute(one) for one in deep if one.outcome in failures}
    reach: dict[datetime, int] = {}
    for one in deep:
        if one.outcome is Outcome.OK or one.outcome in failures:
            hour = one.started_at.replace(minute=0, second=0)
            holds = 15 if one.reach is None else int(one.reach.total_seconds() // 60)
            reach[hour] = max(reach.get(hour, 0), holds)
    found: dict[datetime, bool] = {}
    minute = BEGIN
    while minute <= now:
        if minute in failed or minute in passed:
            found[minute] = minute not in failed
        else:
            marked = [one for one in passed | failed if one < minute]
            if marked:
                last = max(marked)
                age = (minute - last) // timedelta(minutes=1)
                if age <= reach[last.replace(minute=0)]:
                    found[minute] = last in passed
        minute += timedelta(minutes=1)
    return found


def _minute(result: ProbeResult) -> datetime:
    return result.started_at.replace(second=0, microsecond=0)


def reckon(known: Iterable[ProbeResult], kind: ProbeKind) -> dict[str, Any]:
    """The sums of some results."""
    deep = [one for one in known if one.kind is kind]
    passed = [one for one in deep if one.outcome is Outcome.OK]
    return {
        "counts": {one: count for one in Outcome if (count := sum(it.outcome is one for it in deep))},
        "latency": Histogram.of(one.latency_seconds for one in passed if one.latency_seconds is not None),
        "ttft": Histogram.of(one.ttft_seconds for one in passed if one.ttft_seconds is not None),
        "tokens_in": sum(one.tokens_in or 0 for one in deep),
        "tokens_out": sum(one.tokens_out or 0 for one in deep),
        "cost_usd": pytest.approx(math.fsum(one.cost_usd or 0.0 for one in deep)),
    }


def told(one: Any) -> dict[str, Any]:
    return {
        name: getattr(one, name)
        for name in ("counts", "latency", "ttft", "tokens_in", "tokens_out", "cost_usd")
    }


def up_and_down(uptime: Uptime) -> tuple[int, int]:
    minute = timedelta(minutes=1)
    return uptime.up // minute, uptime.down // minute


async def forget_all(connection: Any) -> None:
    await connection.execute(
        "TRUNCATE monitor.results, monitor.arrivals, monitor.hours, monitor.days, monitor.uptime_hours,"
        " monitor.uptime_days, monitor.uptime_due, monitor.totals, monitor.transitions, monitor.purposes"
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(course=courses(), later=st.integers(0, 36 * 60))
async def test_what_is_rolled_up_is_what_a_plain_reckoning_of_all_results_gives(
    connection: Any, course: list[Step], later: int
) -> None:
    await forget_all(connection)
    for step in course:
        await insert_results(connection, list(step.batch))
        if step.rolled_up_after is not None:
            await roll_up(connection, BEGIN + step.rolled_up_after)
    await roll_up(connection, END)
    by_target = {
        target: list({one.id: one for step in course for one in step.batch if one.target == target}.values())
        for target in TARGETS
    }
    for kind in ProbeKind:
        days = await read_days(connection, END, kind=kind)
        hours = await read_hours(connection, BEGIN, END + timedelta(hours=1), kind=kind)
        for target, mine in by_target.items():
            minutes = reckon_minutes(mine, END)
            for day in days.get(target, ()):
                assert told(day) == reckon((one for one in mine if one.started_at.date() == day.date), kind)
                of_day = [up for minute, up in minutes.items() if minute.date() == day.date]
                assert up_and_down(day.uptime) == (of_day.count(True), of_day.count(False))
            for hour in hours.get(target, ()):
                of_it = [one for one in mine if hour_of(one.started_at) == hour.hour]
                assert told(hour) == reckon(of_it, kind)
                of_hour = [up for minute, up in minutes.items() if hour_of(minute) == hour.hour]
                assert up_and_down(hour.uptime) == (of_hour.count(True), of_hour.count(False))
            assert {day.date for day in days.get(target, ())} >= {minute.date() for minute in minutes}
            assert {hour.hour for hour in hours.get(target, ())} >= {hour_of(minute) for minute in minutes}
    # A span may begin in the middle of it all.
    now = END + timedelta(minutes=later, seconds=30)
    await roll_up(connection, now)
    uptimes = await read_uptimes(connection, now)
    assert await read_uptimes(connection, now, [target.provider for target in by_target]) == uptimes
    for target, mine in by_target.items():
        minutes = reckon_minutes(mine, now)
        for name, span in SPANS.items():
            within = [up for minute, up in minutes.items() if minute >= now - span]
            uptime = uptimes.get(target, {}).get(name, Uptime())
            assert up_and_down(uptime) == (within.count(True), within.count(False))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    known=st.lists(results, min_size=1, max_size=30, unique_by=lambda one: one.id),
    moves=st.lists(
        st.tuples(st.integers(0, 9 * 3600), st.booleans()), max_size=5, unique_by=lambda one: one[0]
    ),
)
async def test_a_purpose_was_up_in_the_minutes_in_which_whoever_served_it_was(
    connection: Any, known: list[ProbeResult], moves: list[tuple[int, bool]]
) -> None:
    await forget_all(connection)
    both = [target for target in TARGETS if target.purpose is Purpose.CHAT]
    serves = both[0]
    turns = []
    for generation, (offset, to_other) in enumerate(sorted(moves), start=1):
        onto, at = both[to_other], BEGIN + timedelta(seconds=offset)
        await connection.execute(
            "INSERT INTO monitor.transitions"
            " (purpose, generation, rule, from_provider_type, from_provider_id, to_provider_type,"
            " to_provider_id, decided_at, policy, evidence)"
            " VALUES ('chat', $1, 'fail_over', $2, $3, $4, $5, $6, '{}', '[]')",
            generation,
            str(serves.provider.type),
            serves.provider.id,
            str(onto.provider.type),
            onto.provider.id,
            at,
        )
        turns.append((at, onto))
        serves = onto
    if not moves:
        await connection.execute(
            "INSERT INTO monitor.purposes (purpose, provider_type, provider_id, since)"
            " VALUES ('chat', $1, $2, NULL)",
            str(serves.provider.type),
            serves.provider.id,
        )
    await insert_results(connection, known)
    await roll_up(connection, END)
    minutes = {target: reckon_minutes([one for one in known if one.target == target], END) for target in both}
    expected: dict[date, list[bool]] = {}
    minute = BEGIN
    while minute <= END:
        server = both[0]
        for at, onto in turns:
            server = onto if at <= minute else server
        if minute in minutes[server]:
            expected.setdefault(minute.date(), []).append(minutes[server][minute])
        minute += timedelta(minutes=1)
    days = (await read_purpose_days(connection, END)).get(Purpose.CHAT, ())
    found = {day.date: up_and_down(day.uptime) for day in days if day.uptime.known}
    assert found == {day: (one.count(True), one.count(False)) for day, one in expected.items()}
    uptimes = (await read_purpose_uptimes(connection, END + timedelta(seconds=1))).get(Purpose.CHAT, {})
    everything = [up for one in expected.values() for up in one]
    for name in SPANS:
        uptime = uptimes.get(name, Uptime())
        assert up_and_down(uptime) == (everything.count(True), everything.count(False))
