"""The daemon's own functions on virtual time, driven as its jobs drive them."""

import heapq
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from monitor.domain.failover import decide
from monitor.domain.health import Health, expect, expire
from monitor.domain.observe import observe
from monitor.domain.outcome import ProbeResult, ResultId
from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.schedule import Role, deep_interval, is_contested
from monitor.domain.situation import Action, Candidate, Situation, Switch
from monitor.domain.target import ProbeKind
from tests.simulator.story import Move, Story
from tests.simulator.worlds import World
from tests.unit.build import MARK, target

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SWITCHES_KEPT = 20


@dataclass(frozen=True)
class Ours:
    """This project's policy."""

    policy: Policy

    def run(self, world: World, seconds: float, seed: int) -> Story:
        """One world."""
        return _Run(self.policy, world, seed).until(seconds)


class _Run:
    def __init__(self, policy: Policy, world: World, seed: int) -> None:
        self.policy = policy
        self.world = world
        self.rng = random.Random(seed)
        self.story = Story()
        self.ids = count()
        places = range(len(world.providers))
        self.order = tuple(ProviderRef(type=ProviderType.AI_SERVER, id=place + 1) for place in places)
        self.targets = [target(one) for one in self.order]
        self.healths = [Health(fingerprint=MARK) for _ in places]
        self.active = 0
        self.accounted = 0.0
        self.offset = timedelta(0)
        self.deciding_since = BEGIN
        self.stranded_since: datetime | None = None
        self.switches: list[Switch] = []
        self.queue: list[tuple[float, int, str, int, ProbeResult | None]] = []
        self.due = [0.0 for _ in places]
        self.running = [False for _ in places]
        self.again = [False for _ in places]

    def until(self, seconds: float) -> Story:
        for place in range(len(self.order)):
            self._plan(place, self.rng.uniform(0, 5))
        for _, end in self.world.restarts:
            self._push(end, "restart", 0)
        while self.queue and self.queue[0][0] < seconds:
            at, _, kind, place, result = heapq.heappop(self.queue)
            self.story.account(
                self.world, self.accounted, at, self.active, stranded=self.stranded_since is not None
            )
            self.accounted = at
            if kind == "restart":
                self._restart(at)
            elif self.world.restarts.holds(at):
                if result is not None:
                    self.running[place] = False
            elif result is not None:
                self._take(place, result, at)
            elif kind == "wake":
                self._decide(at)
            elif self.due[place] == at and not self.running[place]:
                self._start(place, at)
        return self.story

    def _instant(self, at: float) -> datetime:
        return BEGIN + timedelta(seconds=at) + self.offset

    def _push(self, at: float, kind: str, place: int, result: ProbeResult | None = None) -> None:
        heapq.heappush(self.queue, (at, next(self.ids), kind, place, result))

    def _plan(self, place: int, at: float) -> None:
        self.due[place] = at
        self._push(at, "probe", place)

    def _start(self, place: int, at: float) -> None:
        self.running[place] = True
        self.story.probes += 1
        outcome, took = self.world.providers[place].probe(at, self.rng)
        result = ProbeResult(
            id=ResultId(str(self.story.probes)),
            target=self.targets[place].id,
            fingerprint=MARK,
            kind=ProbeKind.DEEP,
            outcome=outcome,
            started_at=self._instant(at),
            ended_at=self._instant(at + took),
            latency_seconds=took,
        )
        self._push(at + took, "result", place, result)

    def _take(self, place: int, result: ProbeResult, at: float) -> None:
        self.running[place] = False
        self.healths[place] = observe(self.healths[place], result, self.policy)
        self._next(place, at)
        self._decide(at)
        if self.again[place]:
            self.again[place] = False
            self._plan(place, at)

    def _next(self, place: int, at: float) -> None:
        now = self._instant(at)
        interval = self._interval(place, now)
        self.healths[place] = expect(self.healths[place], interval, self.policy)
        seconds = interval.total_seconds()
        if is_contested(self.healths[place], now, self.policy):
            self._plan(place, at + seconds)
        else:
            strays = self.rng.uniform(-1, 1) * self.policy.jitter * seconds
            self._plan(place, at + max(seconds + strays - 0.5, 0.01))

    def _interval(self, place: int, now: datetime) -> timedelta:
        return deep_interval(self.targets[place], self._role(place), self.healths[place], now, self.policy)

    def _role(self, place: int) -> Role:
        if self.stranded_since is not None:
            return Role.STRANDED
        if place == self.active:
            return Role.SERVING
        return Role.RETURNING if place < self.active else Role.STANDBY

    def _decide(self, at: float) -> None:
        now = self._instant(at)
        self.healths = [expire(one, now) for one in self.healths]
        pairs = zip(self.order, self.healths, strict=True)
        situation = Situation(
            purpose=Purpose.CHAT,
            active=self.order[self.active],
            preference=self.order,
            candidates={one: Candidate(ref=one, health=health) for one, health in pairs},
            deciding_since=self.deciding_since,
            switches=tuple(self.switches),
            stranded_since=self.stranded_since,
        )
        decision = decide(situation, now, self.policy)
        if decision.action is Action.KEEP:
            if decision.wake_at is not None and decision.wake_at > now:
                self._push(at + (decision.wake_at - now).total_seconds(), "wake", 0)
        elif decision.to is None:
            self.stranded_since = now if decision.action is Action.STRAND else None
            self._hurry(at)
        elif decision.action is Action.MOVE:
            self._move(self.order.index(decision.to), at)
        elif self.running[place := self.order.index(decision.to)]:
            self.again[place] = True
        else:
            self._plan(place, at)

    def _move(self, onto: int, at: float) -> None:
        left = self.active
        self.story.moves.append(Move(at, left, onto))
        switch = Switch(at=self._instant(at), left=self.order[left], onto=self.order[onto])
        self.switches = [*self.switches[-SWITCHES_KEPT:], switch]
        self.active, self.stranded_since = onto, None
        self._hurry(at)

    def _hurry(self, at: float) -> None:
        """Plan anew whom the change of roles makes due sooner."""
        for place in range(len(self.order)):
            interval = self._interval(place, self._instant(at)).total_seconds()
            if not self.running[place] and self.due[place] > at + interval:
                self._plan(place, at + self.rng.uniform(0, interval))

    def _restart(self, at: float) -> None:
        self.offset -= timedelta(seconds=self.world.clock_back)
        now = self._instant(at)
        # As the daemon does at its start: what lies in the future of a clock set back is no belief.
        self.healths = [
            Health(fingerprint=MARK)
            if one.last_started_at and one.last_started_at > now
            else expire(one, now)
            for one in self.healths
        ]
        self.switches = [Switch(at=min(one.at, now), left=one.left, onto=one.onto) for one in self.switches]
        self.stranded_since = min(self.stranded_since, now) if self.stranded_since else None
        self.deciding_since = now
        for place in range(len(self.order)):
            self.again[place] = False
            if not self.running[place]:
                self._plan(place, at + self.rng.uniform(0, 1))
