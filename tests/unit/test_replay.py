"""Whatever happens, deciding again from the record leads to the same decisions at the same instants."""

import os
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.domain.journal import EntryKind
from monitor.domain.outcome import Outcome
from monitor.domain.replay import Replayed, replay
from monitor.domain.situation import Situation
from monitor.domain.timeline import Turn
from tests.replay_world import PURPOSE, World, quick_policy
from tests.unit.build import A, B, C

Step = tuple[Any, ...]

HUNT = os.environ.get("REPLAY_EXAMPLES")
"""So many new lives, instead of the same few each time."""
POLICY = quick_policy()
REFS = st.sampled_from([A, B, C])
GOOD, BAD = Outcome.OK, Outcome.SERVER_ERROR
OUTCOMES = st.sampled_from(list(Outcome))
MOODS = st.sampled_from([GOOD, GOOD, GOOD, GOOD, BAD, BAD, BAD, *Outcome])
TIMES = st.sampled_from([0.0, 0.1, 0.5, 1.0])
LATE = st.sampled_from([0.0, 0.0, 0.3])
PROBES = st.tuples(st.just("probe"), REFS, OUTCOMES, TIMES, LATE, st.sampled_from([None, None, 1.0, 9.0]))
TRAFFIC = st.tuples(st.just("traffic"), REFS, st.sampled_from([GOOD, BAD, BAD]), LATE, st.integers(1, 4))
ROUNDS = st.tuples(
    st.just("round"), st.lists(MOODS, min_size=3, max_size=3), st.sampled_from([2, 4, 8, 12]), LATE
)
OTHERS = st.one_of(
    st.tuples(st.just("choose"), REFS),
    st.tuples(
        st.just("report"), REFS, st.integers(0, 3), st.integers(0, 2), st.sampled_from([0.0, 0.2, 2.0])
    ),
    st.tuples(st.just("pause")),
    st.tuples(st.just("pin"), REFS, st.sampled_from([1.0, 5.0])),
    st.tuples(
        st.just("prefer"),
        st.permutations([A, B, C]).flatmap(lambda one: st.integers(1, 3).map(lambda n: tuple(one[:n]))),
    ),
    st.tuples(st.just("hold"), st.sampled_from([None, 2.0, 8.0])),
    st.tuples(st.just("reorder"), st.permutations([A, B, C]).map(tuple)),
    st.tuples(st.just("maintain"), REFS, st.sampled_from([0.0, 0.0, 1.3]), st.sampled_from([None, 0.8, 4.0])),
    st.tuples(st.just("vanish"), REFS),
    st.tuples(st.just("change_key"), REFS),
    st.tuples(st.just("change_space"), REFS, st.sampled_from(["one", "two", None])),
    st.tuples(st.just("away"), st.sampled_from([0.5, 4.0])),
    st.tuples(st.just("kill")),
    st.tuples(st.just("flush")),
    st.tuples(st.just("read_rows")),
    st.tuples(st.just("settles"), st.sampled_from([0.0, 0.4, 1.5]), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([0.2, 1.0, 3.0, 30.0])),
)
WARM: list[Step] = [("round", [GOOD, GOOD, GOOD], 3, 0.0)]
DISTURBED = st.lists(
    st.one_of(ROUNDS, ROUNDS, ROUNDS, TRAFFIC, TRAFFIC, PROBES, OTHERS, st.just(("restore",))),
    min_size=8,
    max_size=25,
)
STEPS = DISTURBED.map(lambda steps: [*WARM, *steps])


def live(world: World, steps: list[Step]) -> None:
    """Go through the steps, then settle and store everything."""
    for name, *arguments in steps:
        match name:
            case "probe":
                ref, outcome, took, late, retry_after = arguments
                world.probe(ref, outcome, took=took, late=late, retry_after=retry_after)
            case "round":
                outcomes, times, late = arguments
                for _ in range(times):
                    for ref, outcome in zip((A, B, C), outcomes, strict=True):
                        world.probe(ref, outcome, late=late)
                    world.wait(0.7)
            case "traffic":
                ref, outcome, late, failed = arguments
                world.report(ref, failed, 0, 0.0)
                world.probe(ref, outcome, late=late)
                for other in {A, B, C} - {ref}:
                    world.probe(other, GOOD, late=0.1)
                world.wait(0.05)
                world.report(ref, failed, 0, 0.0)
                world.wait(0.7)
            case "settles":
                world.settles = arguments[0], arguments[1]
            case _:
                getattr(world, str(name))(*arguments)
    world.wait(6)
    world.read_rows()
    world.flush()


def again(world: World, *, follow: bool) -> Replayed:
    results = sorted(world.results, key=lambda one: (one.ended_at, one.id))
    found = replay(PURPOSE, world.policy, world.entries, results, world.now, world.moves if follow else None)
    assert found is not None
    return found


def bare(situation: Situation | None) -> Situation | None:
    """Without what time alone changes."""
    if situation is None:
        return None
    candidates = {
        ref: replace(one, health=replace(one.health, stale_at=None) if one.health else None)
        for ref, one in situation.candidates.items()
    }
    return replace(situation, candidates=candidates)


def automatic(turns: list[Turn]) -> list[Turn]:
    return [turn for turn in turns if turn.rule not in ("operator", "adopted")]


@settings(max_examples=int(HUNT or "60"), derandomize=HUNT is None, deadline=None)
@given(STEPS)
def test_every_recorded_decision_is_made_again_at_its_instant(steps: list[Step]) -> None:
    world = World(POLICY)
    live(world, steps)
    followed = again(world, follow=True)
    assert followed.differences == ()
    assert list(followed.reproduced) == world.moves
    assert automatic(followed.course.timeline.turns) == world.moves
    assert followed.course.drift == []
    act = world.acts.get(PURPOSE)
    if act is None or act.at >= world.now:
        # While a decision waits to be recorded nothing is judged, and what changes is not noted yet.
        there, here = world.beliefs.situation(PURPOSE, world.now), followed.course.situation(world.now)
        assert bare(here) == bare(there)
    begun = [entry.at for entry in world.entries if entry.kind is EntryKind.STRANDED]
    assert [one.since for one in followed.course.timeline.strandings] == begun


def test_a_fall_by_reports_is_decided_again() -> None:
    world = World(POLICY)
    steps: list[Step] = [
        *WARM,
        ("traffic", A, BAD, 0.0, 2),
        ("probe", B, GOOD, 0.1, 0.0, None),
        ("wait", 1.0),
    ]
    live(world, steps)
    assert "requests failed" in world.moves[0].reason
    assert [entry.kind for entry in world.entries].count(EntryKind.REPORTED) >= 1
    followed = again(world, follow=True)
    assert (followed.differences, list(followed.reproduced)) == ((), world.moves)


def test_a_deadline_that_leads_to_another_one_is_followed_by_it() -> None:
    """Found: the end of a pin, and that of the grace after a start, both before the next result was taken."""
    world = World(POLICY)
    steps: list[Step] = [
        ("pin", A, 1.0),
        ("maintain", B, 0.0, 0.8),
        ("kill",),
        ("traffic", A, GOOD, 0.0, 3),
        ("round", [Outcome.BAD_RESPONSE, GOOD, GOOD], 2, 0.3),
    ]
    live(world, steps)
    followed = again(world, follow=True)
    assert followed.differences == ()
    assert list(followed.reproduced) == world.moves
