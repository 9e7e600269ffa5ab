"""A daemon's judgement without its database, driven step by step: probes, operators, kills, time."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, cast

from monitor.domain.configuration import Configuration
from monitor.domain.health import Health
from monitor.domain.journal import Entry, stranding
from monitor.domain.maintenance import Maintenance
from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.policy import Policy
from monitor.domain.preference import Pointers
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.reports import Report, ReportOutcome
from monitor.domain.situation import Action, Switch
from monitor.domain.target import ProbeKind, Target, TargetId
from monitor.domain.timeline import Turn
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.journal import Journal
from monitor.jobs.judge_purposes import JudgePurposes
from monitor.jobs.pending import Pending
from monitor.jobs.probe_target import ProbeTarget, Schedule
from monitor.jobs.store_watch import StoreWatch
from monitor.jobs.take_reports import TakeReports
from monitor.metrics import Metrics
from monitor.storage.journal import ENTRY
from monitor.storage.maintenance import MaintenanceRow
from monitor.storage.purposes import PurposeState
from tests.unit.build import START, A, B, C, target

PURPOSE = Purpose.EMBEDDINGS
INSTANCE = "00000000-0000-0000-0000-000000000007"
SWEEP = timedelta(seconds=1)
BEGIN = START + timedelta(hours=12, seconds=-20)
"""Shortly before midnight: a new day has an entry of its own."""


def quick_policy() -> Policy:
    """One that shows in seconds what the default shows in minutes."""

    def span(number: float) -> timedelta:
        return timedelta(seconds=number)

    return replace(
        Policy(),
        deep_interval=span(1),
        standby_interval=span(1.5),
        recheck_interval=span(0.5),
        down_interval=span(1),
        blocked_interval=span(1),
        rate_limited_interval=span(1),
        stranded_interval=span(0.5),
        timeout=span(6),
        fall_span=span(1),
        block_span=span(0.5),
        rate_limit_default=span(2),
        rate_limit_span=span(2),
        rate_limit_at_once=span(5),
        starting_grace=span(4),
        report_fall=2,
        report_window=4,
        report_span=span(3),
        window=6,
        window_failures=3,
        hold=span(3),
        return_gap=span(2),
        qualification_retry=span(2),
        start_grace=span(1),
    )


class Kept:
    """What is not stored yet: here nothing is lost but by a kill."""

    def __init__(self) -> None:
        self.results: list[ProbeResult] = []

    def add(self, result: ProbeResult) -> None:
        self.results.append(result)

    def mark(self, target: TargetId) -> None:
        pass

    def add_vector(self, *_: object) -> None:
        pass


class NoSchedule:
    """Probes come when the test says so."""

    def put(self, *_: object, **__: object) -> None:
        pass

    def run_now(self, _job: str) -> bool:
        return True

    def remove(self, _job: str) -> None:
        pass


@dataclass(order=True)
class Due:
    at: datetime
    number: int
    do: Callable[[], None] = field(compare=False)
    daemon: int = field(compare=False, default=0)


class World:
    """One purpose with three candidates, and what is recorded of it."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.now = BEGIN
        self.results: list[ProbeResult] = []
        self.entries: list[Entry] = []
        self.moves: list[Turn] = []
        self.due: list[Due] = []
        self.numbers = count()
        self.flying: set[ProviderRef] = set()
        self.daemon = 0
        self.marks = dict.fromkeys((A, B, C), 0)
        self.spaces: dict[ProviderRef, str | None] = dict.fromkeys((A, B, C), "one")
        self.order: tuple[ProviderRef, ...] = (A, B, C)
        self.gone: set[ProviderRef] = set()
        self.maintenance: dict[ProviderRef, MaintenanceRow] = {}
        self.state = PurposeState(
            purpose=PURPOSE,
            generation=1,
            seen=Pointers(active=A, fallback=B),
            since=BEGIN,
            rule="adopted",
            chosen_at=None,
            stranded_since=None,
            paused=False,
            pinned=None,
            pinned_until=None,
        )
        self.switches: tuple[Switch, ...] = ()
        self.stored: dict[TargetId, Health] = {}
        self.settles: tuple[float, bool] = (0.0, True)
        self.attended: Any = None
        self.start()

    def start(self) -> None:
        """A daemon with nothing in its head but what is stored."""
        self.daemon += 1
        self.flying.clear()
        self.kept = Kept()
        self.beliefs = Beliefs(lambda _: self.policy, self.now)
        metrics = self.metrics = Metrics(version="test")
        self.journal = Journal(self.beliefs, INSTANCE, StoreWatch(metrics, lambda: None, lambda: None))
        self.probes = ProbeTarget(
            beliefs=self.beliefs,
            pending=cast("Pending", self.kept),
            metrics=metrics,
            prober=cast("Any", None),
            schedule=cast("Schedule", NoSchedule()),
            now=lambda: self.now,
        )
        self.judge = JudgePurposes(
            beliefs=self.beliefs,
            pending=cast("Pending", self.kept),
            journal=self.journal,
            metrics=metrics,
            now=lambda: self.now,
            probe_now=lambda _: None,
            reschedule=self.probes.reschedule,
            resync=lambda: None,
            instance=INSTANCE,
        )
        self.reports = TakeReports(
            beliefs=self.beliefs,
            pending=cast("Pending", self.kept),
            journal=self.journal,
            judge=self.judge,
            probes=self.probes,
            metrics=metrics,
            now=lambda: self.now,
        )
        self.probes.hear = self.reports.hear
        self.probes.judge = self.judge.judge
        self.probes.judge_due = self.judge.judge_due
        self.beliefs.purposes = {PURPOSE: self.state}
        self.beliefs.switches = {PURPOSE: self.switches}
        self.beliefs.deciding_since = self.now
        for ref in (A, B, C):
            if ref not in self.gone:
                self.begin(ref, self.stored.get(self.id_of(ref)))
        self.configure()
        self.judge._runs = True
        self.judge.resume()
        self.plan(SWEEP, self.sweep)
        self.attend()

    def sweep(self) -> None:
        self.judge._sweep()
        self.attend()
        self.plan(SWEEP, self.sweep)

    @property
    def acts(self) -> dict[Purpose, Any]:
        """Decisions that somebody has to record."""
        return cast("dict[Purpose, Any]", self.judge._acts)

    def attend(self) -> None:
        """Somebody records what was decided, after a while."""
        act: Any = self.acts.get(PURPOSE)
        if act is not None and act is not self.attended:
            self.attended = act
            seconds, works = self.settles
            self.plan(timedelta(seconds=seconds), lambda: self.settle(act, works=works))

    def waits(self, act: object) -> bool:
        return self.acts.get(PURPOSE) is act

    def settle(self, act: Any, *, works: bool) -> None:
        if not self.waits(act):
            return
        self.settles = 0.0, True
        state, decision = self.beliefs.purposes[PURPOSE], act.decision
        again_at = None
        moved = decision.action is Action.MOVE
        if not works or state.seen is None or (moved and state.seen.active != act.situation.active):
            again_at = self.now + timedelta(seconds=2)
        elif moved:
            left = state.seen.active
            assert decision.to is not None
            self.flush()
            self.moves.append(
                Turn(
                    at=act.at,
                    rule=str(decision.rule),
                    left=left,
                    onto=decision.to,
                    reason=decision.reason,
                    evidence=decision.evidence,
                    failure_began_at=decision.failure_began_at,
                )
            )
            pointers = Pointers(active=decision.to, fallback=left)
            after = replace(state, seen=pointers, since=act.at, rule=str(decision.rule), stranded_since=None)
            self.beliefs.moved(PURPOSE, after, Switch(at=act.at, left=left, onto=decision.to))
        else:
            since = act.at if decision.action is Action.STRAND else None
            self.flush()
            self.record(stranding(decision, act.at, since))
            self.beliefs.strand(PURPOSE, since)
        del self.acts[PURPOSE]
        self.remember()
        self.judge.settle(PURPOSE, decision, act.at, again_at=again_at)
        self.attend()

    def flush(self) -> None:
        """Store results, beliefs and the journal."""
        self.results += self.kept.results
        self.kept.results = []
        self.stored = dict(self.beliefs.healths)
        for purpose, entry in self.journal.take():
            assert purpose is PURPOSE
            self.record(entry)

    def record(self, entry: Entry) -> None:
        kept = ENTRY.dump_json(entry, exclude_defaults=True)
        self.entries.append(ENTRY.validate_json(kept))

    def remember(self) -> None:
        """What the tables of purposes and transitions say."""
        self.state = self.beliefs.purposes[PURPOSE]
        self.switches = self.beliefs.switches.get(PURPOSE, ())

    def id_of(self, ref: ProviderRef) -> TargetId:
        return TargetId(provider=ref, purpose=PURPOSE)

    def target_of(self, ref: ProviderRef) -> Target:
        return replace(
            target(ref),
            id=self.id_of(ref),
            fingerprint=f"{ref}/{self.marks[ref]}",
            embedding_space=self.spaces[ref],
        )

    def begin(self, ref: ProviderRef, stored: Health | None = None) -> None:
        found = self.target_of(ref)
        if stored is None or stored.fingerprint != found.fingerprint:
            stored = Health(fingerprint=found.fingerprint)
        self.beliefs.begin(found.id, stored)
        self.beliefs.targets[found.id] = found

    def configure(self) -> None:
        """Make the rows true, as a reading of them does."""
        for ref in (A, B, C):
            self.beliefs.embedders[ref] = (self.spaces[ref], f"{ref}/{self.marks[ref]}")
            if ref in self.gone:
                self.beliefs.gone_since.setdefault(ref, self.now)
                self.beliefs.targets.pop(self.id_of(ref), None)
                self.beliefs.healths.pop(self.id_of(ref), None)
            elif (
                self.beliefs.gone_since.pop(ref, None) is not None
                or self.id_of(ref) not in self.beliefs.targets
            ):
                self.begin(ref)
        self.beliefs.maintenance = dict(self.maintenance)
        self.beliefs.configuration = Configuration(
            targets=dict(self.beliefs.targets),
            pointers={},
            preferences={PURPOSE: self.order},
            present=frozenset({A, B, C} - self.gone),
            names={},
            problems={},
            server_statuses={},
        )

    def read_rows(self) -> None:
        self.configure()
        self.judge.judge_all(self.now)
        self.attend()

    def choose(self, ref: ProviderRef) -> None:
        """An operator writes the row."""
        state = self.beliefs.purposes[PURPOSE]
        if state.seen is None or state.seen.active == ref:
            return
        self.order = (ref, *(one for one in self.order if one != ref))
        self.beliefs.purposes[PURPOSE] = replace(
            state,
            seen=Pointers(active=ref, fallback=self.order[1] if len(self.order) > 1 else None),
            chosen_at=self.now,
            stranded_since=None,
            since=self.now,
            rule="operator",
        )
        self.remember()
        self.read_rows()

    def pause(self) -> None:
        state = self.beliefs.purposes[PURPOSE]
        self.beliefs.purposes[PURPOSE] = replace(state, paused=not state.paused)
        self.remember()
        self.read_rows()

    def pin(self, ref: ProviderRef, seconds: float) -> None:
        state = self.beliefs.purposes[PURPOSE]
        until = self.now + timedelta(seconds=seconds)
        self.beliefs.purposes[PURPOSE] = replace(state, pinned=ref, pinned_until=until)
        self.remember()
        self.read_rows()

    def hold(self, seconds: float | None) -> None:
        """An operator's promotion holds the return, for a while or until it is taken off."""
        state = self.beliefs.purposes[PURPOSE]
        until = self.now + timedelta(seconds=seconds) if seconds is not None else None
        self.beliefs.purposes[PURPOSE] = replace(
            state, held=not state.held, held_until=until, act=state.act + 1, act_taken=state.act + 1
        )
        self.remember()
        self.read_rows()

    def reorder(self, order: tuple[ProviderRef, ...]) -> None:
        """An operator sets the order by an act."""
        state = self.beliefs.purposes[PURPOSE]
        number = state.act + 1
        self.beliefs.purposes[PURPOSE] = replace(
            state, ordered_at=self.now, act=number, act_taken=number, ordered_act=number
        )
        self.order = order
        self.remember()
        self.read_rows()

    def maintain(self, ref: ProviderRef, begin: float, seconds: float | None) -> None:
        """An operator takes a provider out of service, now or soon."""
        state = self.beliefs.purposes[PURPOSE]
        number = state.act + 1
        since = self.now + timedelta(seconds=begin)
        until = since + timedelta(seconds=seconds) if seconds is not None else None
        self.maintenance[ref] = MaintenanceRow(
            span=Maintenance(since=since, until=until), act=number, user_id="o", reason=None
        )
        self.beliefs.purposes[PURPOSE] = replace(state, act=number, act_taken=number)
        self.remember()
        self.read_rows()

    def prefer(self, order: tuple[ProviderRef, ...]) -> None:
        self.order = order
        self.read_rows()

    def restore(self) -> None:
        """Everything is as it was at first."""
        self.order, self.spaces, self.gone = (A, B, C), dict.fromkeys((A, B, C), "one"), set()
        state = self.beliefs.purposes[PURPOSE]
        self.beliefs.purposes[PURPOSE] = replace(state, paused=False, pinned=None, held=False)
        self.maintenance.clear()
        self.remember()
        self.read_rows()

    def vanish(self, ref: ProviderRef) -> None:
        self.gone ^= {ref}
        self.read_rows()

    def change_key(self, ref: ProviderRef) -> None:
        self.marks[ref] += 1
        if ref not in self.gone:
            self.begin(ref)
        self.read_rows()

    def change_space(self, ref: ProviderRef, space: str | None) -> None:
        self.spaces[ref] = space
        self.read_rows()

    def away(self, seconds: float) -> None:
        """The records are out of reach for a while."""
        self.judge.hold()
        self.wait(seconds)
        self.beliefs.deciding_since = self.now
        self.judge.resume()
        self.attend()

    def kill(self) -> None:
        """End at once, and start again soon: what was not stored is lost."""
        self.now += timedelta(milliseconds=10)
        self.start()

    def probe(
        self,
        ref: ProviderRef,
        outcome: Outcome,
        *,
        took: float = 0.1,
        late: float = 0.0,
        retry_after: float | None = None,
    ) -> None:
        """Begin a probe; it ends after `took` seconds and is taken `late` seconds afterwards."""
        if ref in self.gone or ref in self.flying:
            return
        self.flying.add(ref)
        asked, number = self.target_of(ref), next(self.numbers)
        ended_at = self.now + timedelta(seconds=took)
        result = ProbeResult(
            id=ResultId(f"{number:032x}"),
            target=asked.id,
            fingerprint=asked.fingerprint,
            kind=ProbeKind.DEEP,
            outcome=outcome,
            started_at=self.now,
            ended_at=ended_at,
            latency_seconds=took,
            retry_after=None if retry_after is None else timedelta(seconds=retry_after),
        )

        def take() -> None:
            self.flying.discard(ref)
            self.probes.take(asked, result)
            self.attend()

        self.plan(timedelta(seconds=took + late), take)

    def report(self, ref: ProviderRef, failed: int, passed: int, age: float) -> None:
        """An application tells of its requests, some seconds old: first what failed."""
        at = self.now - timedelta(seconds=age)
        outcomes = [ReportOutcome.TIMEOUT] * failed + [ReportOutcome.OK] * passed
        self.reports.take(
            self.id_of(ref), [Report(at=at, outcome=outcome, source="app@host:1") for outcome in outcomes]
        )
        self.attend()

    def plan(self, delay: timedelta, do: Callable[[], None]) -> None:
        heapq.heappush(self.due, Due(self.now + delay, next(self.numbers), do, self.daemon))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + timedelta(seconds=seconds)
        while self.due and self.due[0].at <= until:
            one = heapq.heappop(self.due)
            self.now = max(self.now, one.at)
            if one.daemon == self.daemon:
                one.do()
        self.now = until
