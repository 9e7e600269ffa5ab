"""Both machines, walked in full: every belief that results can make, every situation that beliefs can make.

A step is ten seconds, and each candidate is probed in each. Instants are kept relative to now and no older
than any rule can tell apart, so that the walk closes. Beliefs that no rule can tell apart, whatever comes,
are then one (Moore's minimisation): what is left is walked together with the purpose's own record.

The defaults, with probes at their own intervals and every outcome, are played by `Play` instead.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from itertools import product
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.domain.eligibility import blocking_run, is_eligible
from monitor.domain.failover import decide
from monitor.domain.failure import failure_of
from monitor.domain.health import Health, HealthState, Observation, expect, expire
from monitor.domain.maintenance import Maintenance
from monitor.domain.observe import observe
from monitor.domain.outcome import Outcome, ResultId
from monitor.domain.policy import Policy
from monitor.domain.schedule import Role, deep_interval
from monitor.domain.search import obstacle
from monitor.domain.situation import Action, Candidate, Decision, Rule, Situation, Switch
from monitor.domain.target import ProviderRef, Purpose
from tests.unit.build import AUTH, FAIL, MARK, OK, A, B, C, at, result, seconds, target

STEP = 10
NOW = at(0)
SMALL = Policy(
    fall=2,
    fall_span=seconds(10),
    window=4,
    window_failures=2,
    rise=2,
    block_span=seconds(10),
    hold=seconds(20),
    hold_max=seconds(20),
    switch_window=seconds(30),
    switch_limit=2,
    return_gap=seconds(20),
    qualification_retry=seconds(20),
)
OLD = 3  # steps: longer than the hold, the gap and the retry


def ago(steps: int) -> datetime:
    return NOW - seconds(STEP * steps)


def age(instant: datetime) -> int:
    return round((NOW - instant).total_seconds() / STEP)


def aged(instant: datetime | None) -> datetime | None:
    return None if instant is None else ago(min(age(instant), OLD))


def later(health: Health) -> Health:
    """The same belief one step on."""

    def moved(instant: datetime | None) -> datetime | None:
        return None if instant is None else instant - seconds(STEP)

    def seen(some: Iterable[Observation]) -> tuple[Observation, ...]:
        return tuple(placed(one, age(one.started_at) + 1) for one in some)

    return replace(
        health,
        since=moved(health.since),
        window=seen(health.window),
        runs={outcome: seen(run) for outcome, run in health.runs.items()},
        fell_on=seen(health.fell_on),
        last=seen([health.last])[0] if health.last else None,
        last_started_at=moved(health.last_started_at),
        eligible_since=moved(health.eligible_since),
    )


def placed(one: Observation, steps: int) -> Observation:
    return replace(one, result_id=ResultId(f"@{steps}"), started_at=ago(steps), ended_at=ago(steps))


def close(some: Sequence[Observation]) -> tuple[Observation, ...]:
    """In the same order, as close to now as two steps and a step between each allow."""
    found: list[Observation] = []
    for index, one in enumerate(reversed(some)):
        least = age(found[-1].started_at) + 1 if found else 0
        found.append(placed(one, max(least, min(age(one.started_at), 2 + index))))
    return tuple(reversed(found))


def normal(health: Health) -> Health:
    """The belief without what no rule can tell apart when there is a result in every step."""
    window = close(health.window)
    since = None
    if health.since is not None and health.state is HealthState.UP:
        spent = sum(one.started_at <= health.since for one in health.window)
        since = window[spent - 1].started_at if spent else ago(99)
    return replace(
        health,
        since=since,
        window=window,
        runs={outcome: close((run[0], *run[1:][-1:])) for outcome, run in health.runs.items()},
        fell_on=close(health.fell_on[-SMALL.fall :]),
        passes=min(health.passes, SMALL.rise),
        last=placed(health.last, min(age(health.last.started_at), OLD)) if health.last else None,
        last_started_at=aged(health.last_started_at),
        eligible_since=aged(health.eligible_since),
    )


@dataclass(frozen=True)
class Beliefs:
    """Every belief that results of these outcomes can make, and where each outcome leads."""

    healths: list[Health]
    after: list[tuple[int, ...]]


def walk_beliefs(outcomes: tuple[Outcome, ...]) -> Beliefs:
    unknown = Health(fingerprint=MARK)
    numbers = {repr(unknown): 0}
    healths, after = [unknown], list[tuple[int, ...]]()
    for health in healths:  # grows while it is walked
        row = []
        for outcome in outcomes:
            seen = normal(observe(later(health), result(0, outcome, took=0), SMALL))
            number = numbers.setdefault(repr(seen), len(healths))
            if number == len(healths):
                healths.append(seen)
            row.append(number)
        after.append(tuple(row))
    return Beliefs(healths, after)


def told_apart(health: Health) -> tuple[object, ...]:
    """All that `decide` reads of a belief whose last result is of now."""
    return (
        health.state is HealthState.DOWN,
        bool(blocking_run(health, AUTH, SMALL)),
        health.last.outcome if health.last else None,
        health.eligible_since if is_eligible(health, NOW, SMALL) else None,
    )


@cache
def beliefs(outcomes: tuple[Outcome, ...]) -> Beliefs:
    """One belief of each kind that the future can tell apart; the first is the unknown one."""
    whole = walk_beliefs(outcomes)
    kinds: dict[object, int] = {}
    kind = [kinds.setdefault(told_apart(health), len(kinds)) for health in whole.healths]
    while True:
        finer: dict[object, int] = {}
        split = [
            finer.setdefault((kind[index], *(kind[number] for number in row)), len(finer))
            for index, row in enumerate(whole.after)
        ]
        if len(finer) == len(set(kind)):
            break
        kind = split
    first = {one: index for index, one in reversed(list(enumerate(kind)))}
    order = {one: index for index, one in enumerate(sorted(first, key=first.__getitem__))}
    chosen = [first[one] for one in order]
    return Beliefs(
        [whole.healths[index] for index in chosen],
        [tuple(order[kind[number]] for number in whole.after[index]) for index in chosen],
    )


class Record(NamedTuple):
    """What a purpose remembers between two steps.

    Attributes:
        active: the index of the one that serves.
        switches: (steps ago, left, onto), oldest first.
        stranded: steps since it was, at most 1; None when it is not.
        waited: steps on a dead one while the same other one was eligible and had passed.
    """

    active: int = 0
    switches: tuple[tuple[int, int, int], ...] = ()
    stranded: int | None = None
    waited: int = 0


REFS = (A, B, C)


def owned(health: Health, ref: ProviderRef) -> Health:
    """The belief with its results named for their target, so that evidence can be told apart."""

    def named(some: tuple[Observation, ...]) -> tuple[Observation, ...]:
        return tuple(replace(one, result_id=ResultId(f"{ref}{one.result_id}")) for one in some)

    return replace(
        health,
        window=named(health.window),
        runs={outcome: named(run) for outcome, run in health.runs.items()},
        fell_on=named(health.fell_on),
        last=named((health.last,))[0] if health.last else None,
    )


def described(candidates: tuple[Candidate, ...], record: Record) -> Situation:
    return Situation(
        purpose=Purpose.CHAT,
        active=REFS[record.active],
        preference=tuple(one.ref for one in candidates),
        candidates={one.ref: one for one in candidates},
        deciding_since=ago(1000),
        switches=remembered(record.switches),
        stranded_since=None if record.stranded is None else ago(record.stranded),
    )


@cache
def remembered(switches: tuple[tuple[int, int, int], ...]) -> tuple[Switch, ...]:
    return tuple(Switch(at=ago(steps), left=REFS[left], onto=REFS[onto]) for steps, left, onto in switches)


def aged_record(record: Record) -> Record:
    switches = tuple((steps + 1, left, onto) for steps, left, onto in record.switches if steps + 1 < 3)
    return record._replace(switches=switches, stranded=None if record.stranded is None else 1)


def moved_record(record: Record, decision: Decision, waited: int) -> Record:
    match decision.action:
        case Action.MOVE:
            assert decision.to is not None
            onto = REFS.index(decision.to)
            return Record(active=onto, switches=(*record.switches, (0, record.active, onto)))
        case Action.STRAND:
            return record._replace(stranded=0, waited=waited)
        case Action.RELIEVE:
            return record._replace(stranded=None, waited=waited)
        case _:
            return record._replace(waited=waited)


State = tuple[tuple[int, ...], Record]
Check = Callable[[Situation, Record, Decision], None]


@dataclass(frozen=True)
class Walk:
    """All that was reached, and how often each rule spoke for each action."""

    states: int
    spoken: Counter[tuple[Rule, Action]]


def walk(count: int, outcomes: tuple[Outcome, ...], check: Check) -> Walk:
    """Decide and check every situation that so many candidates can come into."""
    machine = beliefs(outcomes)
    candidates = [[Candidate(ref=ref, health=owned(one, ref)) for one in machine.healths] for ref in REFS]
    branches = {
        numbers: tuple(product(*(set(machine.after[number]) for number in numbers)))
        for numbers in product(range(len(machine.healths)), repeat=count)
    }
    spoken = Counter[tuple[Rule, Action]]()
    settled: dict[State, State] = {}
    start: State = ((0,) * count, Record())
    todo, seen = [start], {start}
    while todo:
        numbers, record = todo.pop()
        record = aged_record(record)
        for after in branches[numbers]:
            met = (after, record)
            if met not in settled:
                some = tuple(candidates[index][number] for index, number in enumerate(after))
                situation = described(some, record)
                decision = decide(situation, NOW, SMALL)
                held = decision.rule in (Rule.FAIL_OVER, Rule.CALL_FOR_HELP)
                record_after = moved_record(record, decision, waited(situation, record) if held else 0)
                check(situation, record_after, decision)
                spoken[decision.rule, decision.action] += 1
                settled[met] = (after, record_after)
            state = settled[met]
            if state not in seen:
                seen.add(state)
                todo.append(state)
    return Walk(len(seen), spoken)


def waited(situation: Situation, record: Record) -> int:
    """Decisions in a row that found a dead one serving while another was eligible and had just passed."""
    return record.waited + 1 if any(is_fit(situation, ref) for ref in situation.preference) else 0


def is_fit(situation: Situation, ref: ProviderRef) -> bool:
    candidate = situation.candidates[ref]
    health = candidate.health
    return (
        ref != situation.active
        and health is not None
        and health.last is not None
        and health.last.passed
        and obstacle(situation, candidate, NOW, SMALL) is None
    )


def invariants(situation: Situation, record: Record, decision: Decision) -> None:
    if decision.action is Action.MOVE:
        assert decision.to is not None
        assert decision.to != situation.active
        never_onto_one_that_is_not_eligible(situation, decision)
        never_on_fewer_than_two_pieces_of_evidence(decision)
        never_back_within_the_gap(situation, decision)
        never_without_a_reason(situation, decision)
    if decision.action is Action.STRAND:
        nobody_is_called_while_somebody_is_fit(situation)
    never_long_on_a_dead_one(record)


def never_onto_one_that_is_not_eligible(situation: Situation, decision: Decision) -> None:
    assert decision.to is not None
    candidate = situation.candidates[decision.to]
    assert candidate.health is not None
    assert candidate.health.last is not None
    assert candidate.health.last.passed
    if decision.rule is Rule.CALL_FOR_HELP:
        assert situation.stranded_since is not None
        assert candidate.health.last.started_at > situation.stranded_since
        assert not any(is_fit(situation, ref) for ref in situation.preference)
    else:
        assert is_eligible(candidate.health, NOW, SMALL)


def never_on_fewer_than_two_pieces_of_evidence(decision: Decision) -> None:
    assert len(set(decision.evidence)) >= 2


def never_back_within_the_gap(situation: Situation, decision: Decision) -> None:
    assert all(NOW - one.at >= SMALL.return_gap for one in situation.switches if one.left == decision.to)


def never_without_a_reason(situation: Situation, decision: Decision) -> None:
    failure = failure_of(situation, situation.candidates[situation.active], NOW, SMALL)
    if decision.rule is Rule.FAIL_BACK:
        assert decision.to is not None
        order = situation.preference
        assert order.index(decision.to) < order.index(situation.active)
        assert sum(NOW - one.at < SMALL.switch_window for one in situation.switches) < SMALL.switch_limit
    else:
        assert failure is not None


def nobody_is_called_while_somebody_is_fit(situation: Situation) -> None:
    assert not any(is_fit(situation, ref) for ref in situation.preference)


def never_long_on_a_dead_one(record: Record) -> None:
    assert (record.waited - 1) * STEP < SMALL.return_gap.total_seconds()


RULES_THAT_SPEAK = {
    (Rule.FAIL_OVER, Action.MOVE),
    (Rule.FAIL_OVER, Action.KEEP),
    (Rule.CALL_FOR_HELP, Action.STRAND),
    (Rule.CALL_FOR_HELP, Action.MOVE),
    (Rule.CALL_FOR_HELP, Action.KEEP),
    (Rule.FAIL_BACK, Action.QUALIFY),
    (Rule.FAIL_BACK, Action.MOVE),
    (Rule.STAND_DOWN, Action.RELIEVE),
    (Rule.HOLD, Action.KEEP),
}


def test_two_candidates_hold_every_invariant_in_every_state() -> None:
    found = walk(2, (OK, FAIL, AUTH), invariants)
    assert set(found.spoken) == RULES_THAT_SPEAK


def test_a_pin_and_a_pause_hold_whatever_is_believed() -> None:
    healths = beliefs((OK, FAIL, AUTH)).healths
    for one, other in product(healths, repeat=2):
        candidates = (Candidate(ref=A, health=one), Candidate(ref=B, health=other))
        given = replace(described(candidates, Record()), pinned=True)
        pinned, paused = decide(given, NOW, SMALL), decide(replace(given, paused=True), NOW, SMALL)
        assert (pinned.action, pinned.rule) == (Action.KEEP, Rule.PINNED)
        assert (paused.action, paused.rule) == (Action.KEEP, Rule.PAUSED)


def under_an_operators_hand(situation: Situation, _: Record, decision: Decision) -> None:
    """The same situation with each of an operator's wishes."""
    pin_and_pause_keep(situation)
    a_promotion_holds_the_return_alone(situation, decision)
    for ref in situation.candidates:
        nobody_is_moved_onto_one_in_maintenance(situation, ref)
        one_out_of_maintenance_is_not_returned_to_at_once(situation, ref)
    later = Maintenance(since=NOW + seconds(5))
    planned = decide(put_away(situation, situation.active, later), NOW, SMALL)
    assert said(planned) == said(decision)
    assert planned.wake_at is not None
    assert planned.wake_at <= later.since


def said(decision: Decision) -> tuple[Action, Rule, ProviderRef | None]:
    return decision.action, decision.rule, decision.to


def put_away(situation: Situation, ref: ProviderRef, span: Maintenance) -> Situation:
    candidate = replace(situation.candidates[ref], maintenance=span)
    return replace(situation, candidates={**situation.candidates, ref: candidate})


def pin_and_pause_keep(situation: Situation) -> None:
    end = NOW + seconds(7)
    pinned = decide(replace(situation, pinned=True, pinned_until=end), NOW, SMALL)
    assert said(pinned) == (Action.KEEP, Rule.PINNED, None)
    assert pinned.wake_at == end
    assert pinned.alarm is (
        obstacle(situation, situation.candidates[situation.active], NOW, SMALL) is not None
    )
    paused = decide(replace(situation, pinned=True, paused=True), NOW, SMALL)
    assert (said(paused), paused.wake_at) == ((Action.KEEP, Rule.PAUSED, None), None)


def a_promotion_holds_the_return_alone(situation: Situation, decision: Decision) -> None:
    held = decide(replace(situation, held=True), NOW, SMALL)
    if decision.rule is Rule.FAIL_BACK:
        assert held.rule in (Rule.HOLD, Rule.STAND_DOWN)
        assert held.action in (Action.KEEP, Action.RELIEVE)
    else:
        assert said(held) == said(decision)


def nobody_is_moved_onto_one_in_maintenance(situation: Situation, ref: ProviderRef) -> None:
    decision = decide(put_away(situation, ref, Maintenance(since=ago(0))), NOW, SMALL)
    assert decision.to != ref
    if ref == situation.active:
        assert decision.rule in (Rule.FAIL_OVER, Rule.CALL_FOR_HELP)


def one_out_of_maintenance_is_not_returned_to_at_once(situation: Situation, ref: ProviderRef) -> None:
    ended = Maintenance(since=ago(1), until=NOW)
    decision = decide(put_away(situation, ref, ended), NOW, SMALL)
    assert (decision.rule, decision.to) != (Rule.FAIL_BACK, ref)


def test_an_operators_hand_holds_in_every_state() -> None:
    found = walk(2, (OK, FAIL), under_an_operators_hand)
    assert {Rule.FAIL_OVER, Rule.FAIL_BACK, Rule.CALL_FOR_HELP} <= {rule for rule, _ in found.spoken}


def test_the_walk_of_beliefs_closes_and_knows_every_state() -> None:
    machine = beliefs((OK, FAIL, AUTH))
    assert {one.state for one in machine.healths} == set(HealthState)
    assert {len(one.window) for one in machine.healths} == set(range(SMALL.window + 1))
    assert all(0 <= number < len(machine.healths) for row in machine.after for number in row)


OUTCOMES = st.sampled_from([OK, OK, FAIL, AUTH, *sorted(Outcome)])
PHASES = st.lists(st.tuples(OUTCOMES, st.integers(1, 1200)), max_size=6)
DEFAULT = Policy()


class Play:
    """Three candidates under the defaults, probed at the intervals that the schedule asks for.

    What a candidate shows is scripted, `(outcome, seconds)` after `(outcome, seconds)` and `ok` in the end.
    """

    def __init__(self, scripts: Sequence[list[tuple[Outcome, int]]]) -> None:
        self.scripts = dict(zip(REFS, scripts, strict=True))
        self.healths = {ref: Health(fingerprint=MARK) for ref in REFS}
        self.next_probe = {ref: float(index * 7) for index, ref in enumerate(REFS)}
        self.active = A
        self.switches: list[Switch] = []
        self.stranded_since: datetime | None = None
        self.wake_at: float | None = None
        self.fit_since: dict[ProviderRef, float] = {}

    def shown(self, ref: ProviderRef, second: float) -> Outcome:
        for outcome, length in self.scripts[ref]:
            if second < length:
                return outcome
            second -= length
        return OK

    def role(self, ref: ProviderRef) -> Role:
        if self.stranded_since is not None:
            return Role.STRANDED
        if ref == self.active:
            return Role.SERVING
        return Role.RETURNING if REFS.index(ref) < REFS.index(self.active) else Role.STANDBY

    def situation(self, second: float) -> Situation:
        return Situation(
            purpose=Purpose.CHAT,
            active=self.active,
            preference=REFS,
            candidates={
                ref: Candidate(ref=ref, health=expire(health, at(second)))
                for ref, health in self.healths.items()
            },
            deciding_since=at(-1),
            switches=tuple(self.switches),
            stranded_since=self.stranded_since,
        )

    def run(self, until: float) -> None:
        second = 0.0
        while second < until:
            ref, due = min(self.next_probe.items(), key=lambda one: one[1])
            if self.wake_at is not None and self.wake_at < due:
                second, self.wake_at = self.wake_at, None
            else:
                second = self.probe(ref, max(second, due))
            self.decide(second)

    def probe(self, ref: ProviderRef, second: float) -> float:
        seen = result(second, self.shown(ref, second), took=0.5, of=ref)
        health = expire(self.healths[ref], at(second))
        health = observe(health, seen, DEFAULT)
        interval = deep_interval(target(ref), self.role(ref), health, at(second), DEFAULT)
        self.healths[ref] = expect(health, interval, DEFAULT)
        self.next_probe[ref] = second + interval.total_seconds()
        return second + 0.5

    def decide(self, second: float) -> None:
        situation, now = self.situation(second), at(second)
        decision = decide(situation, now, DEFAULT)
        self.wake_at = (decision.wake_at - at(0)).total_seconds() if decision.wake_at else None
        assert self.wake_at is None or self.wake_at > second
        if decision.action is Action.MOVE:
            self.move(situation, decision, now)
        elif decision.action is Action.QUALIFY and decision.to is not None:
            self.next_probe[decision.to] = second
        elif decision.action is Action.STRAND:
            self.stranded_since = now
            self.next_probe = {ref: min(due, second + 10) for ref, due in self.next_probe.items()}
        elif decision.action is Action.RELIEVE:
            self.stranded_since = None
        self.watch(second)

    def move(self, situation: Situation, decision: Decision, now: datetime) -> None:
        assert decision.to is not None
        health = situation.candidates[decision.to].health
        assert health is not None
        assert decision.rule is Rule.CALL_FOR_HELP or is_eligible(health, now, DEFAULT)
        assert len(set(decision.evidence)) >= 2
        assert all(now - one.at >= DEFAULT.return_gap for one in self.switches if one.left == decision.to)
        self.switches.append(Switch(at=now, left=self.active, onto=decision.to))
        self.active, self.stranded_since, self.wake_at = decision.to, None, None
        self.next_probe[decision.to] = min(self.next_probe[decision.to], (now - at(0)).total_seconds() + 30)

    def watch(self, second: float) -> None:
        """Nobody who is fit and would pass any probe watches a dead one serve for much more than a minute."""
        given = self.situation(second)
        failure = failure_of(given, given.candidates[self.active], at(second), DEFAULT)
        for ref in REFS:
            fit = ref != self.active and obstacle(given, given.candidates[ref], at(second), DEFAULT) is None
            if failure is None or not failure.strands or not fit or self.shown(ref, second) is not OK:
                self.fit_since.pop(ref, None)
            else:
                assert second - self.fit_since.setdefault(ref, second) <= 62


@settings(max_examples=10, deadline=None)
@given(PHASES, PHASES, PHASES)
def test_under_the_defaults_every_invariant_holds_whatever_three_candidates_show(
    first: list[tuple[Outcome, int]], second: list[tuple[Outcome, int]], third: list[tuple[Outcome, int]]
) -> None:
    Play([first, second, third]).run(2400)


def test_a_primary_that_dies_is_left_within_a_minute_and_returned_to_when_it_lives_again() -> None:
    play = Play([[(OK, 605), (Outcome.UNREACHABLE, 400)], [], []])
    play.run(3600)
    (left, back) = play.switches
    assert (left.left, left.onto, back.onto) == (A, B, A)
    assert 605 + 30 <= (left.at - at(0)).total_seconds() <= 605 + 70
    assert (back.at - at(0)).total_seconds() >= 1005 + 300
