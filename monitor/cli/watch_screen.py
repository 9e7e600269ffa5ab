"""A status as it stands on one screen: nothing is wider or higher than that, and the unwell come first."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.text import Text

from monitor.cli.console import STYLES, age, plain
from monitor.cli.layout import GAP, fit, widths
from monitor.cli.status_page import (
    FIRST_STEPS,
    MOVE_HEADERS,
    PROVIDER_HEADERS,
    PURPOSE_HEADERS,
    find_notes,
    move_rows,
    provider_rows,
    purpose_row,
)
from monitor.cli.status_report import bad_news, is_alive
from monitor.storage.status import Status

OLD = timedelta(seconds=6)
MOST_NEWS = 4
_RANKS = ("down", "unknown", "degraded", "maintenance", "healthy", "disabled")
_UNWELL = 4
_HEALTH = PROVIDER_HEADERS.index("HEALTH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is to be shown.

    Attributes:
        status: as it was read last.
        age: how long ago.
        away: why it can't be read any more; None while it can.
        ends: how the watching is ended, in words.
    """

    status: Status
    age: timedelta
    away: str | None = None
    ends: str = ""


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows below their headers, of which some may be left out at the end."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]

    def lines(self, count: int, width: int, *, drawn: bool, left_out: str = "") -> list[Text]:
        """The first rows, a line each.

        Args:
            count: how many lines below the headers.
            width: of the screen.
            drawn: whether more than ASCII may be drawn.
            left_out: stands for the rest, where there is one.
        """
        shown = self.rows if len(self.rows) <= count else self.rows[: max(count - bool(left_out), 0)]
        firm = [place for place, header in enumerate(self.headers) if header == "HEALTH"]
        columns = widths(self.headers, shown, width, firm)
        lines = [_line(self.headers, columns, drawn, "dim"), *(_line(row, columns, drawn) for row in shown)]
        if len(shown) < len(self.rows) and left_out and count:
            lines.append(Text(fit(left_out, width, drawn=drawn).rstrip(), "dim"))
        return lines


def compose(picture: Picture, width: int, height: int, *, drawn: bool = True) -> list[Text]:
    """The screen, line by line: what is wrong, who serves, what needs a look, providers, moves.

    Args:
        picture: what is to be shown.
        width: of the screen, in cells.
        height: the most lines.
        drawn: whether the terminal shows more than ASCII.
    """
    status = picture.status
    top = _top(picture, width, drawn)
    foot = [Text(fit(picture.ends, width, drawn=drawn).rstrip(), "dim")] if picture.ends else []
    if not status.providers:
        top += [Text(), *(Text(fit(line, width, drawn=drawn).rstrip()) for line in FIRST_STEPS.splitlines())]
        return [*top[: height - len(foot)], *foot]
    if status.purposes:
        purposes = _Table(PURPOSE_HEADERS, [_plain(purpose_row(status, one)) for one in status.purposes])
        top += [Text(), *purposes.lines(len(status.purposes), width, drawn=drawn)]
    providers = _Table(PROVIDER_HEADERS, _by_need(status))
    moves = _Table(MOVE_HEADERS, [_plain(row) for row in move_rows(status)])
    notes = _Table(("TO LOOK AT",), [(plain(note),) for note in find_notes(status)])
    unwell = sum(_rank(row) < _UNWELL for row in providers.rows)
    counts = _share(
        height - len(top) - len(foot),
        notes=len(notes.rows),
        providers=len(providers.rows),
        unwell=unwell,
        moves=len(moves.rows),
    )
    lines = [*top]
    if counts.notes:
        lines += [Text(), *notes.lines(counts.notes, width, drawn=drawn, left_out=_more(notes, counts.notes))]
    if counts.providers:
        left_out = _others(providers.rows[counts.providers - 1 :])
        lines += [Text(), *providers.lines(counts.providers, width, drawn=drawn, left_out=left_out)]
    if counts.moves:
        lines += [Text(), *moves.lines(counts.moves, width, drawn=drawn)]
    lines = lines[: height - len(foot)]
    return [*lines, *([Text()] * (height - len(foot) - len(lines)) if foot else []), *foot]


@dataclass(slots=True)
class _Counts:
    """How many lines below its headers each part gets."""

    notes: int = 0
    providers: int = 0
    moves: int = 0


def _share(space: int, *, notes: int, providers: int, unwell: int, moves: int) -> _Counts:
    """Give the lines that there are to whoever needs them most, a bit in turn."""
    counts = _Counts()
    overhead = 2  # an empty line and the headers
    wishes = (
        ("providers", min(2, providers)),
        ("moves", min(2, moves)),
        ("notes", min(2, notes)),
        ("providers", min(unwell + (unwell < providers), providers)),
        ("notes", min(4, notes)),
        ("providers", providers),
        ("notes", notes),
        ("moves", moves),
    )
    for part, wanted in wishes:
        has = getattr(counts, part)
        cost = overhead if not has else 0
        more = min(wanted - has, space - cost)
        if more > 0:
            setattr(counts, part, has + more)
            space -= more + cost
    return counts


def _top(picture: Picture, width: int, drawn: bool) -> list[Text]:
    status = picture.status
    lines = [Text(fit(_heading(status), width, drawn=drawn).rstrip(), "dim")]
    if picture.away is not None:
        told = f"DATABASE AWAY: this is {age(picture.age)} old. {plain(picture.away)}"
        lines.append(Text(fit(told, width, drawn=drawn).rstrip(), "bold red"))
    elif picture.age >= OLD:
        told = f"The database is slow to answer: this is {age(picture.age)} old."
        lines.append(Text(fit(told, width, drawn=drawn).rstrip(), "yellow"))
    news = bad_news(status)
    shown = (
        news if len(news) <= MOST_NEWS else [*news[: MOST_NEWS - 1], f"and {len(news) - MOST_NEWS + 1} more"]
    )
    lines += [
        Text(fit(f"BAD NEWS: {plain(line)}", width, drawn=drawn).rstrip(), "bold red") for line in shown
    ]
    if not news:
        good = (
            "Every purpose is served." if status.purposes else "The daemon runs; no purpose has a provider."
        )
        was = f"Then: {good[0].lower()}{good[1:]}" if picture.away is not None else good
        lines.append(Text(fit(was, width, drawn=drawn).rstrip(), "green" if was is good else "dim"))
    return lines


def _heading(status: Status) -> str:
    """When, and who decides."""
    alive = [one for one in status.daemons if is_alive(one)]
    active = next((one for one in alive if one.role == "active"), None)
    parts = [f"{instant(status.as_of)} UTC"]
    if active is not None:
        up = age(status.as_of - active.started_at)
        parts.append(f"{plain(active.host)}:{active.pid} decides, up {up}, heard {age(active.silent)} ago")
    standby = len(alive) - (active is not None)
    if standby:
        parts.append(f"{standby} standby")
    return "  ".join(parts)


def instant(moment: datetime) -> str:
    """An instant of UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _by_need(status: Status) -> list[Sequence[str]]:
    """Every provider's rows, the unwell first, and among equals whoever serves."""
    serving = {one.active for one in status.purposes}
    rows = [
        (_rank(row), provider.ref not in serving, place, row)
        for place, provider in enumerate(status.providers)
        for row in map(_plain, provider_rows(status, provider))
    ]
    return [row for *_, row in sorted(rows)]


def _rank(row: Sequence[str]) -> int:
    word = row[_HEALTH]
    return _RANKS.index(word) if word in _RANKS else 0


def _others(rows: Sequence[Sequence[str]]) -> str:
    counts = Counter(row[_HEALTH] for row in rows)
    return "and " + ", ".join(f"{counts[word]} {word}" for word in _RANKS if counts[word])


def _more(table: _Table, count: int) -> str:
    return f"and {len(table.rows) - count + 1} more"


def _plain(row: Sequence[str]) -> tuple[str, ...]:
    return tuple(plain(cell) for cell in row)


def _line(cells: Sequence[str], columns: Sequence[int], drawn: bool, style: str = "") -> Text:
    line = Text()
    for cell, width in zip(cells, columns, strict=False):
        if line:
            line.append(" " * GAP)
        line.append(fit(cell, width, drawn=drawn), style or STYLES.get(cell.partition(" ")[0], ""))
    line.rstrip()
    return line
