"""What happened in a world, and the figures of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.simulator.worlds import DAY, Spans, World

PROBE_USD = 0.00002
LOOK_BACK_SECONDS = 180.0
STEP_SECONDS = 5.0


class Move(NamedTuple):
    """One switch: when (seconds), from and to which place of the preference."""

    at: float
    left: int
    onto: int


@dataclass
class Story:
    """What a checker did in a world.

    Attributes:
        moves: every switch.
        probes: how many.
        sick_seconds: how long the one that served was sick in truth.
        helpless_seconds: how much of it nobody else was well either.
        stranded_seconds: how long the checker said that nobody serves.
    """

    moves: list[Move] = field(default_factory=list)
    probes: int = 0
    sick_seconds: float = 0.0
    helpless_seconds: float = 0.0
    stranded_seconds: float = 0.0

    def account(self, world: World, since: float, until: float, active: int, *, stranded: bool) -> None:
        """Count a stretch of time in which nothing was decided."""
        at = since
        while at < until:
            step = min(until - at, STEP_SECONDS)
            if world.providers[active].is_sick(at):
                self.sick_seconds += step
                if all(one.is_sick(at) for one in world.providers):
                    self.helpless_seconds += step
            if stranded:
                self.stranded_seconds += step
            at += step


class Figures(NamedTuple):
    """The figures of one checker in one world; None where they say nothing."""

    false_a_day: float
    switch_p50: float | None
    switch_p99: float | None
    found: str
    back_p50: float | None
    sick_minutes_a_day: float
    stranded_minutes_a_day: float
    switches_an_hour: float
    probes_a_day: float
    usd_a_day: float


def measure(world: World, story: Story, days: float) -> Figures:
    """The figures of a story; false is a switch away from one that had been well for three minutes."""
    false = sum(not _was_sick(world, move) for move in story.moves)
    primary = world.providers[0]
    spans = primary.brownouts if len(primary.brownouts) and not len(primary.outages) else primary.outages
    waits = _waits(story.moves, spans)
    backs = [
        min(returns) - end
        for _, end in spans
        if (returns := [move.at for move in story.moves if move.onto == 0 and move.at >= end])
    ]
    soon = sum(wait <= 1800 for wait in waits)
    return Figures(
        false_a_day=false / days,
        switch_p50=_quantile(waits, 0.5),
        switch_p99=_quantile(waits, 0.99),
        found=f"{soon}/{len(spans)}" if len(spans) else "",
        back_p50=_quantile(backs, 0.5),
        sick_minutes_a_day=(story.sick_seconds - story.helpless_seconds) / 60 / days,
        stranded_minutes_a_day=story.stranded_seconds / 60 / days,
        switches_an_hour=len(story.moves) / days / 24,
        probes_a_day=story.probes / days,
        usd_a_day=story.probes * PROBE_USD / days,
    )


def _was_sick(world: World, move: Move) -> bool:
    if move.onto < move.left:
        return True  # a return to a more preferred one needs no fault
    looks = int(LOOK_BACK_SECONDS / STEP_SECONDS)
    return any(world.providers[move.left].is_sick(move.at - STEP_SECONDS * back) for back in range(looks))


def _waits(moves: Sequence[Move], spans: Spans) -> list[float]:
    found = []
    for start, end in spans:
        first = next((move.at for move in moves if move.left == 0 and start <= move.at < end + 60), None)
        if first is not None:
            found.append(first - start)
    return found


def _quantile(values: Sequence[float], share: float) -> float | None:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else None


__all__ = ["DAY", "Figures", "Move", "Story", "measure"]
