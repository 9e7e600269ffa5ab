"""`make simulate`: how often each policy moves for nothing, and how fast it moves when it has to."""

import argparse
import random
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.table import Table

from monitor.domain.policy import Policy
from tests.simulator.checkers import Counting
from tests.simulator.ours import Ours
from tests.simulator.story import DAY, Figures, Story, measure
from tests.simulator.worlds import WORLDS, World

COLUMNS = (
    "false/day",
    "switch p50 s",
    "p99 s",
    "within 30 min",
    "back p50 s",
    "sick min/day",
    "stranded min/day",
    "switches/h",
    "probes/day",
    "USD/day",
)


class Checker(Protocol):
    """A policy that can be run."""

    def run(self, world: World, seconds: float, seed: int) -> Story:
        """One world."""


CHECKERS: Mapping[str, Checker] = {
    "ours": Ours(Policy()),
    "one failure moves": Counting(fall=1, rise=1),
    "3 in a row": Counting(fall=3, rise=1),
    "HAProxy 3/2, fastinter 10 s": Counting(fall=3, rise=2, fast=10.0),
    "HAProxy 3/2, inter 2 s": Counting(fall=3, rise=2, interval=2.0),
}


def main() -> None:
    """Print one table a world."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--days", type=float, default=10.0, help="virtual days a world (default: 10)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--world", choices=list(WORLDS), action="append", help="only this one; may be repeated"
    )
    parser.add_argument("--checker", choices=list(CHECKERS), action="append", help="only this one")
    wanted = parser.parse_args()
    console = Console(width=None if Console().is_terminal else 150)
    console.print(
        f"{wanted.days:g} virtual days a world; a primary that is preferred and one good fallback. "
        "sick: served by a sick one while another was well."
    )
    for name in wanted.world or WORLDS:
        table = Table("policy", *COLUMNS, title=name, title_justify="left")
        for checker in wanted.checker or CHECKERS:
            world = WORLDS[name](random.Random(wanted.seed), wanted.days)
            story = CHECKERS[checker].run(world, wanted.days * DAY, wanted.seed)
            table.add_row(checker, *_cells(measure(world, story, wanted.days)))
        console.print(table)


def _cells(figures: Figures) -> list[str]:
    digits = (2, 0, 0, 0, 0, 1, 1, 2, 0, 3)
    return [
        one if isinstance(one, str) else "" if one is None else f"{one:.{places}f}"
        for one, places in zip(figures, digits, strict=True)
    ]


if __name__ == "__main__":
    main()
