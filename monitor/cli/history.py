"""`llm-monitor history`: who served when, by which rule, on which results, and what operators did."""

import asyncio
import shutil
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.console import show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings
from monitor.cli.purpose import PurposeName, Since, find_purpose, find_span, instant

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.cli.latency_chart import Series, Service
    from monitor.domain.histogram import Histogram
    from monitor.domain.history import Line
    from monitor.domain.provider import ProviderRef, Purpose
    from monitor.settings import Settings

Chart = Annotated[
    bool | None,
    typer.Option("--chart/--no-chart", help="Latencies of those that served, drawn unless this is piped."),
]


def history(
    purpose: PurposeName,
    since: Since = "30d",
    chart: Chart = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Tell who served, since when, by which rule and why, the newest last; and how long answers took."""
    settings = read_settings(config, env_file, data_dir)
    wanted, span = find_purpose(purpose), find_span(since)
    drawn = chart if chart is not None else sys.stdout.isatty() and not as_json
    told = asyncio.run(_read(settings, wanted, span, measured=drawn))
    if as_json:
        answer = {"purpose": wanted, "events": as_dicts(told.lines, told.until)}
        show_json({**answer, "latency": _latency(told.series)} if drawn else answer)
    else:
        _show(wanted, since, told.lines, told.until)
        if drawn:
            _draw(told)
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What is told of a span.

    Attributes:
        lines: what happened, oldest first.
        since: the span's begin.
        until: its end.
        served: who served when.
        series: the latencies of those.
    """

    lines: "list[Line]"
    since: "datetime"
    until: "datetime"
    served: "list[Service]"
    series: "list[Series]"


async def _read(settings: "Settings", purpose: "Purpose", span: timedelta, *, measured: bool) -> _Told:
    from monitor.cli.database import open_database
    from monitor.cli.latency_chart import Series, services
    from monitor.domain.history import tell_history
    from monitor.domain.journal import EntryKind
    from monitor.storage.journal import load_kinds
    from monitor.storage.purposes import load_purposes
    from monitor.storage.record import read_acts, read_clock, read_moves, read_names

    async with open_database(settings) as connection:
        now = await read_clock(connection)
        moves = await read_moves(connection, purpose, now - span, now)
        entries = await load_kinds(
            connection, purpose, now - span, [kind for kind in EntryKind if kind is not EntryKind.SETTLED]
        )
        acts = await read_acts(connection, purpose, now - span, now)
        names = await read_names(connection, moves)
        state = (await load_purposes(connection)).get(purpose)
        active = state.seen.active if state is not None and state.seen is not None else None
        served = services([one.turn for one in moves], active, now - span, now)
        refs = list(dict.fromkeys(one.provider for one in served))
        hours = await _read_hours(connection, purpose, now - span, now, refs) if measured else {}

    def name(ref: "ProviderRef | None") -> str:
        return "nobody" if ref is None else f"{names.get(ref, 'deleted')} ({ref})"

    return _Told(
        lines=tell_history([(one.turn, one.evidence) for one in moves], entries, name, acts),
        since=now - span,
        until=now,
        served=served,
        series=[Series(provider=ref, name=names.get(ref), hours=hours.get(ref, ())) for ref in refs],
    )


async def _read_hours(
    connection: Any, purpose: "Purpose", since: "datetime", until: "datetime", refs: "list[ProviderRef]"
) -> "dict[ProviderRef, list[tuple[datetime, Histogram]]]":
    """The latencies of providers in a purpose, by the hour."""
    from monitor.storage.rollups import read_hours

    begin = since.replace(minute=0, second=0, microsecond=0)
    found = await read_hours(connection, begin, until, refs)
    return {
        target.provider: [(one.hour, one.latency) for one in hours if one.latency.count]
        for target, hours in found.items()
        if target.purpose is purpose
    }


def _draw(told: _Told) -> None:
    from rich.console import Console

    from monitor.cli.latency_chart import chart
    from monitor.cli.layout import draws

    width = shutil.get_terminal_size().columns
    lines = chart(told.series, told.served, told.since, told.until, width, drawn=draws())
    print()
    if not lines:
        print("No latency was measured.")
    console = Console(highlight=False, width=width)
    for line in lines:
        console.print(line, no_wrap=True, crop=True, overflow="crop", soft_wrap=True)


def _latency(series: "list[Series]") -> list[dict[str, Any]]:
    """By the hour, hours without data left out."""
    return [
        {
            "provider": str(one.provider),
            "name": one.name,
            "hours": [
                {
                    "hour": hour.isoformat(),
                    "passed": found.count,
                    "latency_p50_seconds": found.quantile(0.5),
                    "latency_p95_seconds": found.quantile(0.95),
                }
                for hour, found in one.hours
            ],
        }
        for one in series
    ]


def _ends(lines: "list[Line]", until: "datetime") -> "list[datetime | None]":
    """The end of each line's service, where it began one."""
    ends: list[datetime | None] = []
    nearest = until
    for line in reversed(lines):
        ends.append(nearest if line.served is not None else line.until)
        if line.served is not None:
            nearest = line.at
    return ends[::-1]


def _show(purpose: "Purpose", since: str, lines: "list[Line]", until: "datetime") -> None:
    from monitor.cli.console import age, plain

    print(f"{purpose}, the last {since}\n")
    if not lines:
        print("Nothing has happened.")
    for line, end in zip(lines, _ends(lines, until), strict=True):
        lasted = f" [{age(end - line.at)}]" if end is not None else ""
        print(f"{instant(line.at)}  {plain(line.text)}{lasted}")
        for result in line.results:
            print(f"    {plain(result)}")


def as_dicts(lines: "list[Line]", until: "datetime") -> list[dict[str, Any]]:
    """Lines under names that stay, the newest last.

    Args:
        lines: in the order of time.
        until: the end of the span.
    """
    return [
        {
            "at": line.at.isoformat(),
            "until": None if end is None or (end == until and line.served is not None) else end.isoformat(),
            "what": line.what,
            "text": line.text,
            "serves": str(line.served) if line.served else None,
            "results": list(line.result_ids),
        }
        for line, end in zip(lines, _ends(lines, until), strict=True)
    ]
