"""How answers look: tables, marks and ages, on a terminal and in a pipe."""

import json
import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
STYLES = {
    "healthy": "green",
    "up": "green",
    "active": "green",
    "degraded": "yellow",
    "unknown": "yellow",
    "standby": "cyan",
    "maintenance": "cyan",
    "disabled": "dim",
    "down": "bold red",
    "stranded": "bold red",
    "silent": "bold red",
}


def plain(text: str) -> str:
    """Other people's text without anything that would steer a terminal."""
    return _CONTROL.sub(" ", text)


def mark(good: bool | None) -> str:
    """A tick, a cross, or for None a sign of neither; in ASCII where the terminal has nothing else."""
    if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8":
        return {True: "✓", False: "✗", None: "·"}[good]
    return {True: "ok  ", False: "FAIL", None: "-   "}[good]


def age(span: timedelta) -> str:
    """How long, in the two largest units: `4 s`, `3 min 20 s`, `2 d 5 h`; nothing is negative."""
    seconds = max(int(span.total_seconds()), 0)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[tuple[int, str]] = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append((count, name))
    shown = [f"{count} {name}" for count, name in parts[:2] if count]
    return " ".join(shown) or "0 s"


def seconds(value: float | None) -> str:
    """A duration of a probe; a dash where there is none."""
    return "-" if value is None else f"{value:.3f} s"


def show_json(answer: Any) -> None:
    """An answer for a program: on standard output, and nothing beside it."""
    print(json.dumps(answer, indent=2))


def show_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table: drawn on a terminal, aligned text elsewhere."""
    cells = [[plain(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _draw(title, headers, cells)
        return
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    print(title)
    for row in (list(headers), *cells):
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()


def _draw(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, style="bold"), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for header in headers:
        # The last column takes what is left, and folds; the others are names and figures to compare.
        table.add_column(header, no_wrap=header is not headers[-1], overflow="fold", header_style="dim")
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell.partition(" ")[0], "")) for cell in row))
    console = Console(highlight=False)
    console.print(table)
    console.print()
