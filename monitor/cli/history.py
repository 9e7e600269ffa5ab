"""`llm-monitor history`: who served when, by which rule, on which results, and what operators did."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from monitor.cli.console import show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings
from monitor.cli.purpose import PurposeName, Since, find_purpose, find_span, instant

if TYPE_CHECKING:
    from datetime import datetime

    from monitor.domain.history import Line
    from monitor.domain.provider import ProviderRef, Purpose
    from monitor.settings import Settings


def history(
    purpose: PurposeName,
    since: Since = "30d",
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Tell who served, since when, by which rule and why; the newest last."""
    settings = read_settings(config, env_file, data_dir)
    wanted, span = find_purpose(purpose), find_span(since)
    lines, until = asyncio.run(_read(settings, wanted, span))
    if as_json:
        show_json({"purpose": wanted, "events": as_dicts(lines, until)})
    else:
        _show(wanted, since, lines, until)
    return 0


async def _read(settings: "Settings", purpose: "Purpose", span: timedelta) -> "tuple[list[Line], datetime]":
    from monitor.cli.database import open_database
    from monitor.domain.history import tell_history
    from monitor.domain.journal import EntryKind
    from monitor.storage.journal import load_kinds
    from monitor.storage.record import read_acts, read_clock, read_moves, read_names

    async with open_database(settings) as connection:
        now = await read_clock(connection)
        moves = await read_moves(connection, purpose, now - span, now)
        entries = await load_kinds(
            connection, purpose, now - span, [kind for kind in EntryKind if kind is not EntryKind.SETTLED]
        )
        acts = await read_acts(connection, purpose, now - span, now)
        names = await read_names(connection, moves)

    def name(ref: "ProviderRef | None") -> str:
        return "nobody" if ref is None else f"{names.get(ref, 'deleted')} ({ref})"

    return tell_history([(one.turn, one.evidence) for one in moves], entries, name, acts), now


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
