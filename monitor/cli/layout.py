"""Lines that fit: cells cut to a width, columns that give way, and what a terminal can draw."""

import os
import sys
from collections.abc import Collection, Sequence

from rich.cells import cell_len, set_cell_size

GAP = 2
NARROW = 9
_ASCII_LOCALES = ("C", "POSIX")


def draws() -> bool:
    """Whether the terminal shows more than ASCII: by its encoding, and unless the locale is said to be C.

    Python takes UTF-8 for the locale C, and puts `C.UTF-8` into LC_CTYPE; a person who wrote LANG=C meant it.
    """
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        return False
    said = os.environ.get("LC_ALL") or os.environ.get("LANG")
    return said not in _ASCII_LOCALES


def fit(text: str, width: int, *, drawn: bool = True, right: bool = False) -> str:
    """Text in exactly this many cells: filled up, or cut with a sign that it was.

    Args:
        text: one line.
        width: in cells; a wide character takes two.
        drawn: whether the sign may be more than ASCII, and other characters may stand as they are.
        right: fill up on the left.
    """
    if not drawn:
        text = text.encode("ascii", "replace").decode("ascii")
    length = cell_len(text)
    if length <= width:
        space = " " * (width - length)
        return space + text if right else text + space
    sign = "…" if drawn else "~"
    return set_cell_size(text, width - 1) + sign if width > 0 else ""


def widths(
    headers: Sequence[str], rows: Sequence[Sequence[str]], width: int, firm: Collection[int] = ()
) -> list[int]:
    """How wide each column may be, so that all of them fit: the widest give way first.

    Args:
        headers: of the columns.
        rows: their cells.
        width: of the whole.
        firm: columns that give way last.

    Returns:
        A width for each of the first columns; the last ones are left out where they would only be in the way.
    """
    natural = [max(map(cell_len, column)) for column in zip(headers, *rows, strict=True)]
    for count in range(len(natural), 1, -1):
        found = _squeeze(natural[:count], width, firm)
        if all(is_ >= min(was, NARROW) for is_, was in zip(found, natural, strict=False)):
            return found
    return _squeeze(natural[:2], width, ())


def _squeeze(natural: Sequence[int], width: int, firm: Collection[int]) -> list[int]:
    found = list(natural)
    over = sum(found) + GAP * (len(found) - 1) - width
    soft = [place for place in range(len(found)) if place not in firm]
    while over > 0 and any(found[place] for place in soft):
        ordered = sorted(soft, key=lambda place: -found[place])
        # At once down to the next widest, or as far as needed.
        next_ = found[ordered[1]] if len(ordered) > 1 else 0
        step = max(min(over, found[ordered[0]] - next_), 1)
        found[ordered[0]] -= step
        over -= step
    return found
