"""What was measured, and the table that shows it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

from rich import box
from rich.console import Console
from rich.table import Table

_BUCKET = re.compile(r'^(?P<name>\w+)_bucket\{le="(?P<le>[^"]+)"\} (?P<count>\S+)$', re.MULTILINE)

Buckets = dict[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what was measured.
        median: of what is ours; the one value where there is only one.
        baseline: the same of the bare library, or None.
        unit: of both.
        most: the aim for the ratio where there is a baseline, else for the value; None without one.
        least: the same from below.
        note: what a reader has to know.
    """

    name: str
    median: float
    unit: str
    baseline: float | None = None
    most: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.median / self.baseline if self.baseline else None

    @property
    def aim(self) -> str:
        unit = " times" if self.ratio is not None else f" {self.unit}".rstrip()
        if self.most is not None:
            return f"at most {self.most:g}{unit}"
        return f"at least {self.least:g}{unit}" if self.least is not None else ""

    @property
    def verdict(self) -> str:
        judged = self.median if self.ratio is None else self.ratio
        if self.most is None and self.least is None:
            return ""
        kept = judged <= (inf if self.most is None else self.most) and judged >= (self.least or -inf)
        return "kept" if kept else "missed"


def show(figures: Iterable[Figure]) -> None:
    """Print the table, as wide as it wants to be: it is read from files too."""
    table = Table("figure", box=box.SIMPLE_HEAD)
    for name in ("bare", "median", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("aim", "verdict"):
        table.add_column(name, no_wrap=True)
    table.add_column("note")
    for one in figures:
        table.add_row(
            one.name,
            "" if one.baseline is None else _written(one.baseline, one.unit),
            _written(one.median, one.unit),
            "" if one.ratio is None else f"{one.ratio:.2f}",
            one.aim,
            one.verdict,
            one.note,
        )
    Console(width=170).print(table)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def read_buckets(page: str, name: str) -> Buckets:
    """The cumulated counts of a histogram without labels, by upper bound."""
    found = [match for match in _BUCKET.finditer(page) if match["name"] == name]
    if not found:
        raise LookupError(f"/metrics holds no histogram {name}")
    return {float(match["le"]): float(match["count"]) for match in found}


def between(before: Buckets, after: Buckets) -> Buckets:
    """What came to a histogram between two looks."""
    return {bound: count - before.get(bound, 0.0) for bound, count in after.items()}


def histogram_percentile(buckets: Buckets, share: float) -> float:
    """A percentile as PromQL's histogram_quantile tells it: evenly spread within its bucket."""
    wanted = buckets[inf] * share
    lower, below = 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= wanted and count > below:
            return lower if bound == inf else lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return lower


def _written(value: float, unit: str) -> str:
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 20 else 2
    return f"{value:.{digits}f} {unit}".rstrip()
