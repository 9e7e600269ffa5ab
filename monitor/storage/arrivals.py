"""Take results that have arrived into the sums by the hour and the day, and make minutes up and down of them.

Each function is one transaction, short enough to stand between others of the same session. What it reads it
writes again as a whole, so one does it at a time; all that is left to do stands in the database.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from monitor.domain.histogram import Histogram
from monitor.domain.rollup import Arrival, Gathered, Subject, Sums, gather
from monitor.domain.uptime import HOUR, MINUTES, Folded, Marks, fold, minutes_begun
from monitor.storage.queries import QUERIES

ARRIVALS_AT_ONCE = 1000
DUE_AT_ONCE = 250
PRUNED_AT_ONCE = 5000

Place = tuple[datetime, str, int, str]
"""An hour of a target, in the order in which hours are made."""

FIRST: Final[Place] = (datetime.min.replace(tzinfo=UTC), "", 0, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long results are kept, and their sums.

    Attributes:
        results: single ones.
        hourly: sums by the hour, and minutes.
        daily: sums by the day.
    """

    results: timedelta = timedelta(days=14)
    hourly: timedelta = timedelta(days=90)
    daily: timedelta = timedelta(days=730)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """How far hours were made.

    Attributes:
        last: go on after this one; None when there are no more.
        again: hours have become due that may lie before it.
    """

    last: Place | None
    again: bool


async def roll_up(connection: Any, now: datetime, keep: Retention | None = None) -> None:
    """Do all that there is to do.

    Args:
        connection: outside of a transaction.
        now: the database's clock.
        keep: what is older changes nothing any more.
    """
    while await take_arrivals(connection, now, keep or Retention()) == ARRIVALS_AT_ONCE:
        pass
    place, again = FIRST, False
    while True:
        made = await make_minutes(connection, now, place)
        again |= made.again
        if made.last is None and not again:
            return
        place = made.last or FIRST
        again = again and made.last is not None


async def take_arrivals(connection: Any, now: datetime, keep: Retention) -> int:
    """Add some of the results that are not summed yet; returns how many: as many as it takes, or all."""
    async with connection.transaction():
        await connection.execute(QUERIES["lock_roll_up"])
        rows = await connection.fetch(QUERIES["take_arrivals"], ARRIVALS_AT_ONCE)
        day_from, hour_from = (now - keep.daily).date(), now - keep.hourly
        kept = [_arrival(row) for row in rows if row["started_at"].date() >= day_from]
        if kept:
            gathered = gather(kept)
            await _add_hours(connection, gathered, hour_from)
            await _add_days(connection, gathered)
    return len(rows)


async def make_minutes(connection: Any, now: datetime, after: Place = FIRST) -> Made:
    """Make the minutes of some hours that are due, in the order of hours: each hands on to the next.

    Args:
        connection: outside of a transaction.
        now: the database's clock.
        after: go on after this place.
    """
    async with connection.transaction():
        await connection.execute(QUERIES["lock_roll_up"])
        rows = await connection.fetch(QUERIES["read_due"], now, *after, DUE_AT_ONCE)
        if not rows:
            return Made(last=None, again=False)
        changed: dict[Place, Folded] = {}
        days: dict[tuple[date, str, int, str], list[int]] = {}
        done: list[Place] = []
        due: list[Place] = []
        for row in rows:
            place = _place(row)
            hour = place[0]
            before = changed.get((hour - HOUR, *place[1:]))
            minutes = minutes_begun(hour, now)
            marks = Marks(passed=row["passed_minutes"], failed=row["failed_minutes"], reach=row["reach"])
            folded = fold(marks, before.carried if before is not None else row["handed_on"], minutes)
            known = Folded(up=row["up_minutes"], down=row["down_minutes"], carried=row["carried"])
            if folded != known:
                changed[place] = folded
                day = days.setdefault((hour.date(), *place[1:]), [0, 0])
                day[0] += folded.up.bit_count() - known.up.bit_count()
                day[1] += folded.down.bit_count() - known.down.bit_count()
            if folded.carried != known.carried:
                due.append((hour + HOUR, *place[1:]))
            if minutes == MINUTES:
                done.append(place)
        await _write_minutes(connection, changed, days)
        if done:
            await connection.execute(QUERIES["drop_due"], *_columns(done))
        made = {_place(row) for row in rows}
        due = [place for place in due if place not in made]
        if due:
            await connection.execute(QUERIES["add_due"], *_columns(due))
        last = _place(rows[-1])
        return Made(
            last=last if len(rows) == DUE_AT_ONCE else None,
            again=any(hour <= now for hour, *_ in due),
        )


async def prune_rollups(connection: Any, now: datetime, keep: Retention) -> None:
    """Drop sums and minutes that have expired."""
    for query, oldest in (
        ("prune_hour_sums", now - keep.hourly),
        ("prune_hour_minutes", now - keep.hourly),
        ("prune_day_sums", (now - keep.daily).date()),
        ("prune_day_minutes", (now - keep.daily).date()),
    ):
        while await connection.fetchval(QUERIES[query], oldest, PRUNED_AT_ONCE) == PRUNED_AT_ONCE:
            pass


async def _add_hours(connection: Any, gathered: Gathered, oldest: datetime) -> None:
    sums = {place: added for place, added in gathered.sums.items() if place[1] >= oldest}
    await _add_sums(connection, "hour", sums)
    marks = [
        (hour, *who[:3], one.marks.passed, one.marks.failed, one.passed, one.failed, one.marks.reach)
        for (who, hour), one in gathered.marks.items()
        if hour >= oldest
    ]
    if marks:
        await connection.execute(QUERIES["add_marks"], *_columns(marks))


async def _add_days(connection: Any, gathered: Gathered) -> None:
    sums: dict[tuple[Subject, date], Sums] = {}
    for (who, hour), added in gathered.sums.items():
        place = who, hour.date()
        sums[place] = sums[place] + added if place in sums else added
    await _add_sums(connection, "day", sums)
    probes: dict[tuple[date, str, int, str], list[int]] = {}
    for (who, hour), one in gathered.marks.items():
        day = probes.setdefault((hour.date(), *who[:3]), [0, 0])
        day[0] += one.passed
        day[1] += one.failed
    if probes:
        days = [(*place, 0, 0, *counts) for place, counts in probes.items()]
        await connection.execute(QUERIES["add_uptime_days"], *_columns(days))


async def _add_sums(
    connection: Any,
    span: str,
    sums: Mapping[tuple[Subject, datetime], Sums] | Mapping[tuple[Subject, date], Sums],
) -> None:
    if not sums:
        return
    wanted = [(*who, at) for who, at in sums]
    rows = await connection.fetch(QUERIES[f"read_{span}_sums"], *_columns(wanted))
    known = {(Subject(row[0], row[1], row[2], row[3]), row["at"]): read_sums(row) for row in rows}
    written = [
        (*place[0], place[1], *_row(known[place] + added if place in known else added))
        for place, added in sums.items()
    ]
    await connection.execute(QUERIES[f"write_{span}_sums"], *_columns(written))


def read_sums(row: Any) -> Sums:
    """The sums of a row of `monitor.hours` or `monitor.days`."""
    return Sums(
        counts=row["counts"],
        latency=Histogram.unpack(row["latency"]),
        ttft=Histogram.unpack(row["ttft"]),
        tokens_in=row["tokens_in"],
        tokens_out=row["tokens_out"],
        cost_usd=row["cost_usd"],
    )


async def _write_minutes(
    connection: Any, changed: Mapping[Place, Folded], days: Mapping[tuple[date, str, int, str], Sequence[int]]
) -> None:
    if changed:
        hours = [(*place, one.up, one.down, one.carried) for place, one in changed.items()]
        await connection.execute(QUERIES["write_minutes"], *_columns(hours))
        more = [(*place, *minutes, 0, 0) for place, minutes in days.items()]
        await connection.execute(QUERIES["add_uptime_days"], *_columns(more))


def _row(sums: Sums) -> tuple[object, ...]:
    return (
        sums.counts,
        _array(sums.latency),
        _array(sums.ttft),
        sums.tokens_in,
        sums.tokens_out,
        sums.cost_usd,
    )


def _array(histogram: Histogram) -> str:
    # As text: what is unnested must not be an array of arrays of different lengths.
    return "{" + ",".join(map(str, histogram.pack())) + "}"


def _arrival(row: Any) -> Arrival:
    return Arrival(
        Subject(row["provider_type"], row["provider_id"], row["purpose"], row["kind"]),
        row["outcome"],
        row["started_at"],
        row["latency_seconds"],
        row["ttft_seconds"],
        row["tokens_in"],
        row["tokens_out"],
        row["cost_usd"],
        row["reach_seconds"],
    )


def _place(row: Any) -> Place:
    return row["hour"], row["provider_type"], row["provider_id"], row["purpose"]


def _columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    return [list(one) for one in zip(*rows, strict=True)]
