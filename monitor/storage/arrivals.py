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

ARRIVALS_AT_ONCE = 500
DUE_AT_ONCE = 250
PRUNED_AT_ONCE = 5000

Place = tuple[datetime, str, int, str]
"""An hour of a target, in the order in which hours are made."""

More = tuple[datetime, str, int, str, int, int, int, int]
"""An hour of a target, and what it has more, or less: minutes up, minutes down, passes, failures."""

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
            await _add_marks(connection, gathered, hour_from)
            await _add_sums(
                connection,
                "hour",
                {place: sums for place, sums in gathered.sums.items() if place[1] >= hour_from},
            )
            await _add_sums(connection, "day", _by_day(gathered.sums))
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
        more: list[More] = []
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
                up = folded.up.bit_count() - known.up.bit_count()
                more.append((*place, up, folded.down.bit_count() - known.down.bit_count(), 0, 0))
            if folded.carried != known.carried:
                due.append((hour + HOUR, *place[1:]))
            if minutes == MINUTES:
                done.append(place)
        if changed:
            await connection.execute(QUERIES["begin_hours"], *_columns(changed))
            await connection.execute(
                QUERIES["write_minutes"],
                *_columns((*place, one.up, one.down, one.carried) for place, one in changed.items()),
            )
            await _add(connection, more)
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
    await connection.execute(QUERIES["prune_totals"])


async def _add_marks(connection: Any, gathered: Gathered, oldest: datetime) -> None:
    who = {one[:3] for one, _ in gathered.sums}
    await connection.execute(QUERIES["know_targets"], *_columns(sorted(who)))
    marks = {(hour, *who[:3]): said for (who, hour), said in gathered.marks.items()}
    kept = {place: said for place, said in marks.items() if place[0] >= oldest}
    if kept:
        await connection.execute(QUERIES["begin_hours"], *_columns(kept))
        await connection.execute(
            QUERIES["add_marks"],
            *_columns(
                (*place, said.marks.passed, said.marks.failed, said.marks.reach, said.passed, said.failed)
                for place, said in kept.items()
            ),
        )
        await _add(connection, [(*place, 0, 0, said.passed, said.failed) for place, said in kept.items()])
    # Of hours that are kept no longer, the days still count.
    late = [(*place, 0, 0, said.passed, said.failed) for place, said in marks.items() if place not in kept]
    if late:
        await connection.execute(QUERIES["add_to_days"], *_columns(late))


async def _add(connection: Any, more: Iterable[More]) -> None:
    columns = _columns(more)
    for query in ("add_to_later_hours", "add_to_totals", "add_to_days"):
        await connection.execute(QUERIES[query], *columns)


def _by_day(sums: Mapping[tuple[Subject, datetime], Sums]) -> dict[tuple[Subject, date], Sums]:
    found: dict[tuple[Subject, date], Sums] = {}
    for (who, hour), added in sums.items():
        place = who, hour.date()
        found[place] = found[place] + added if place in found else added
    return found


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
