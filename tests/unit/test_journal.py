"""What decisions rest on besides results: pins, standings, and what a kept line leaves out."""

import json
from dataclasses import replace
from datetime import datetime

import pytest

from monitor.domain.health import Health
from monitor.domain.journal import (
    Entry,
    EntryKind,
    Facts,
    Standing,
    pin_holds,
    promotion_holds,
    standings_of,
    stranding,
    told,
)
from monitor.domain.maintenance import Maintenance
from monitor.domain.outcome import Outcome, ResultId
from monitor.domain.provider import ProviderRef
from monitor.domain.situation import Action, Candidate, Decision, Rule
from monitor.domain.target import ProbeKind
from monitor.storage.journal import ENTRY
from tests.unit.build import MARK, A, B, C, at, every, observed, result, situation

OUT = Maintenance(since=at(-8), until=at(200))


@pytest.mark.parametrize(
    ("pinned", "until", "holds"),
    [
        (None, None, False),
        (None, at(11), False),
        (A, None, True),
        (A, at(11), True),
        (A, at(10), False),
        (A, at(9), False),
    ],
)
def test_a_pin_holds_until_its_end_and_for_ever_without_one(
    pinned: ProviderRef | None, until: datetime | None, holds: bool
) -> None:
    assert pin_holds(pinned, until, at(10)) is holds


def test_a_promotion_holds_the_return_until_its_end_and_for_ever_without_one() -> None:
    assert [promotion_holds(True, until, at(10)) for until in (None, at(11), at(10))] == [True, True, False]
    assert not any(promotion_holds(False, until, at(10)) for until in (None, at(11)))


def test_a_told_belief_says_nothing_that_light_results_or_time_change() -> None:
    deep = observed(*every(30, [Outcome.OK] * 2), of=A)
    whole = observed(result(70, Outcome.SERVER_ERROR, kind=ProbeKind.LIGHT), onto=deep)
    whole = replace(whole, stale_at=at(200))
    assert whole.light_started_at is not None
    assert told(Standing(ref=A, maintenance=OUT), whole) == Standing(
        ref=A, maintenance=OUT, told=True, health=deep
    )
    assert told(Standing(ref=A), None) == Standing(ref=A, told=True, health=None)


def test_the_standings_are_those_of_the_situation_in_the_order_of_their_names() -> None:
    found = standings_of(
        situation(
            {
                C: Candidate(ref=C, same_space=None),
                A: Candidate(ref=A, health=Health(fingerprint=MARK), maintenance=OUT),
                B: Candidate(ref=B, gone_since=at(5), same_space=False),
            }
        )
    )
    assert found == (
        Standing(ref=A, maintenance=OUT),
        Standing(ref=B, gone_since=at(5), same_space=False),
        Standing(ref=C, same_space=None),
    )


def test_a_stranding_and_its_end_say_by_which_rule_and_on_what() -> None:
    decision = Decision(
        action=Action.STRAND, rule=Rule.CALL_FOR_HELP, reason="A is down", evidence=(ResultId("one"),)
    )
    begun = stranding(decision, at(5), at(5))
    assert begun == Entry(
        at=at(5),
        kind=EntryKind.STRANDED,
        rule="call_for_help",
        reason="A is down",
        evidence=(ResultId("one"),),
    )
    assert stranding(decision, at(9), None) == replace(begun, at=at(9), kind=EntryKind.RELIEVED)


def test_what_a_kept_line_leaves_out_is_what_it_has_always_meant() -> None:
    ref = {"type": "ai_server", "id": 1}
    kept = {
        "at": at(0).isoformat(),
        "kind": "change",
        "facts": {"active": ref, "standings": [{"ref": ref}], "deciding_since": at(0).isoformat()},
    }
    read = ENTRY.validate_json(json.dumps(kept))
    standing = Standing(ref=A, gone_since=None, maintenance=None, same_space=True, told=False, health=None)
    facts = Facts(
        active=A,
        chosen=False,
        preference=(),
        standings=(standing,),
        deciding_since=at(0),
        chosen_at=None,
        ordered_at=None,
        act=0,
        paused=False,
        pinned=None,
        pinned_until=None,
        held=False,
        held_until=None,
        stranded_since=None,
        since=None,
        rule=None,
        switches=(),
        policy={},
    )
    assert read == Entry(
        at=at(0),
        kind=EntryKind.CHANGE,
        facts=facts,
        hearing=None,
        decided_at=None,
        done=False,
        again_at=None,
        rule=None,
        reason="",
        evidence=(),
    )
    assert json.loads(ENTRY.dump_json(read, exclude_defaults=True)) == {
        **kept,
        "at": "2026-03-01T12:00:00Z",
        "facts": {**kept["facts"], "deciding_since": "2026-03-01T12:00:00Z"},  # type: ignore[dict-item]
    }
