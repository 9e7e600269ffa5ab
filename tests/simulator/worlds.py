"""What providers do, second by second, in worlds that are made from a seed."""

import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.domain.outcome import Outcome

DAY = 86_400.0
HOUR = 3_600.0


@dataclass
class Spans:
    """Intervals of time in seconds, in order and disjoint."""

    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def add(self, start: float, end: float) -> None:
        """Append one that begins after the last."""
        self.starts.append(start)
        self.ends.append(end)

    def holds(self, at: float) -> bool:
        """Whether an instant lies within one."""
        index = bisect_right(self.starts, at) - 1
        return index >= 0 and at < self.ends[index]

    def __iter__(self) -> "zip[tuple[float, float]]":
        return zip(self.starts, self.ends, strict=True)

    def __len__(self) -> int:
        return len(self.starts)


@dataclass
class Provider:
    """Good, but for what its script says.

    Attributes:
        noise: the share of probes that fail for no reason of the provider's.
        outages: it is dead; every probe fails.
        blips: it fails for a moment; no reason to leave it.
        brownouts: a share of the probes fails for long.
        brownout_share: that share.
        failure_seconds: what a failing probe takes: 0.05 when refused, 10 without a first token.
        answer_seconds: what a good one takes.
    """

    noise: float = 0.0
    outages: Spans = field(default_factory=Spans)
    blips: Spans = field(default_factory=Spans)
    brownouts: Spans = field(default_factory=Spans)
    brownout_share: float = 0.3
    failure_seconds: float = 0.05
    answer_seconds: float = 0.5

    def probe(self, at: float, rng: random.Random) -> tuple[Outcome, float]:
        """What a deep probe that starts at `at` shows, and how many seconds it takes."""
        failing = self.outages.holds(at) or self.blips.holds(at)
        failing = failing or (self.brownouts.holds(at) and rng.random() < self.brownout_share)
        if failing or rng.random() < self.noise:
            slow = self.failure_seconds > 1
            return (Outcome.TIMEOUT if slow else Outcome.UNREACHABLE), self.failure_seconds
        return Outcome.OK, self.answer_seconds * rng.uniform(0.7, 1.6)

    def is_sick(self, at: float) -> bool:
        """The truth: whether it ought to be left."""
        return self.outages.holds(at) or self.brownouts.holds(at)


@dataclass
class World:
    """Providers in their order of preference, and what happens to the daemon.

    Attributes:
        providers: the first one is preferred.
        restarts: the daemon is away between these instants.
        clock_back: by how many seconds the clock is set back at each restart.
    """

    providers: list[Provider]
    restarts: Spans = field(default_factory=Spans)
    clock_back: float = 0.0


def poisson(rng: random.Random, days: float, a_day: float, seconds: float) -> Spans:
    """Spans of one length at random instants."""
    spans, at = Spans(), 0.0
    while (at := at + rng.expovariate(a_day / DAY)) < days * DAY:
        spans.add(at, at + seconds)
        at += seconds
    return spans


def regular(rng: random.Random, days: float, every: float, seconds: float) -> Spans:
    """Spans of one length, one every so often, at a random place of its period."""
    spans, at = Spans(), HOUR / 2
    while at + every < days * DAY:
        begin = at + rng.uniform(0, max(every - seconds - HOUR / 6, 0))
        spans.add(begin, begin + seconds)
        at += every
    return spans


def slow_recoveries(rng: random.Random, days: float) -> tuple[Spans, Spans]:
    """Outages of 10 minutes, each followed by 10 minutes in which a share of the probes still fails."""
    outages, brownouts = regular(rng, days, DAY / 6, 600), Spans()
    for _, end in outages:
        brownouts.add(end, end + 600)
    return outages, brownouts


def flapping(days: float, seconds: float) -> Spans:
    """Down and up in turn, each for as long."""
    spans, at = Spans(), HOUR / 2
    while at < days * DAY:
        spans.add(at, at + seconds)
        at += 2 * seconds
    return spans


def _slow_recovery(rng: random.Random, days: float) -> World:
    outages, brownouts = slow_recoveries(rng, days)
    return World([Provider(outages=outages, brownouts=brownouts), Provider()])


def _both(rng: random.Random, days: float) -> World:
    outages = regular(rng, days, DAY / 4, 900)
    return World([Provider(outages=outages), Provider(outages=outages)])


def _restarts(rng: random.Random, days: float, back: float) -> World:
    outages = regular(rng, days, DAY / 6, 900)
    restarts = Spans()
    for start, _ in outages:
        restarts.add(start + 20, start + 40)
    return World([Provider(outages=outages), Provider()], restarts, back)


WORLDS: dict[str, Callable[[random.Random, float], World]] = {
    "noise 1 %": lambda rng, days: World([Provider(noise=0.01), Provider(noise=0.01)]),
    "noise 3 %": lambda rng, days: World([Provider(noise=0.03), Provider(noise=0.03)]),
    "blips 20 s, 6 a day": lambda rng, days: World([Provider(blips=poisson(rng, days, 6, 20)), Provider()]),
    "bursts 45 s, 2 a day": lambda rng, days: World([Provider(blips=poisson(rng, days, 2, 45)), Provider()]),
    "outage 15 min, refused": lambda rng, days: World(
        [Provider(outages=regular(rng, days, DAY / 6, 900)), Provider()]
    ),
    "outage 15 min, hangs": lambda rng, days: World(
        [Provider(outages=regular(rng, days, DAY / 6, 900), failure_seconds=10), Provider()]
    ),
    "both out at once": _both,
    "brownout 30 %, 4 h": lambda rng, days: World(
        [Provider(brownouts=regular(rng, days, DAY / 2, 4 * HOUR)), Provider()]
    ),
    "flapper 90 s / 90 s": lambda rng, days: World([Provider(outages=flapping(days, 90)), Provider()]),
    "slow recovery": _slow_recovery,
    "restart within outage": lambda rng, days: _restarts(rng, days, 0.0),
    "restart, clock 1 h back": lambda rng, days: _restarts(rng, days, HOUR),
}
