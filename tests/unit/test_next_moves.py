"""What would have to happen for the next move, told with the numbers that decide it."""

from dataclasses import replace

from monitor.domain.explanation import explain
from monitor.domain.failover import decide
from monitor.domain.maintenance import Maintenance
from monitor.domain.outcome import Outcome
from monitor.domain.policy import Failback, Policy
from monitor.domain.situation import Action, Candidate, Situation
from tests.unit.build import AUTH, FAIL, OK, POLICY, A, B, C, at, every, observed, seconds, situation

GOOD_A = observed(*every(30, [OK, OK, OK]), of=A)
GOOD_B = observed(*every(30, [OK, OK, OK]), of=B)
GOOD_C = observed(*every(30, [OK, OK, OK]), of=C)
STREAK = "fail_over: 3 more failures of primary in a row, at least 30 s from the first to the last"
THEN = ", then fallback takes over once it passes a probe."


def told(found: Situation, now: float = 100, policy: Policy = POLICY) -> list[str]:
    """What probes alone would have to show."""
    return [one for one in told_all(found, now, policy) if "reported within" not in one]


def told_all(found: Situation, now: float = 100, policy: Policy = POLICY) -> list[str]:
    names = {A: "primary", B: "fallback", C: "third"}
    return list(explain(found, at(now), policy, names.__getitem__).next_moves)


REPORTS = "5 failed requests in a row, or 50% of 20, reported within 60 s"


def test_reported_requests_and_one_failed_probe_are_a_way_out() -> None:
    found = situation({A: GOOD_A, B: GOOD_B})
    assert told_all(found) == [
        f"{STREAK}{THEN}",
        f"fail_over: 1 more failure of primary with {REPORTS}{THEN}",
    ]
    strict = replace(POLICY, report_fall=2, report_share=0.25, report_window=8, report_span=seconds(10))
    assert (
        "2 failed requests in a row, or 25% of 8, reported within 10 s" in told_all(found, policy=strict)[1]
    )


def test_after_a_failed_probe_reported_requests_alone_are_wanted_while_it_is_fresh() -> None:
    failing = observed((90, FAIL), onto=GOOD_A)
    found = situation({A: failing, B: GOOD_B})
    beside = f"fail_over: {REPORTS} beside the last failure of primary, before 12:02:31{THEN}"
    another = f"fail_over: 1 more failure of primary with {REPORTS}{THEN}"
    assert told_all(found)[1] == beside
    assert told_all(found, now=150.9)[1] == beside
    assert told_all(found, now=151)[1] == another
    assert told_all(replace(found, chosen_at=at(90)))[1] == another
    assert told_all(replace(found, chosen_at=at(89)))[1] == beside
    assert told_all(replace(found, deciding_since=at(90)))[1] == another


def test_a_block_or_a_pass_is_no_failure_beside_which_requests_count() -> None:
    refused = observed((95, AUTH), onto=GOOD_A)
    assert "1 more failure of primary with" in told_all(situation({A: refused, B: GOOD_B}))[-1]


def test_requests_move_nothing_while_nothing_may_move() -> None:
    good = {A: GOOD_A, B: GOOD_B}
    for kept in (situation(good, paused=True), situation(good, pinned=True)):
        assert "reported" not in " ".join(told_all(kept))


def test_failures_that_came_too_fast_ask_for_one_more() -> None:
    failing = observed((90, FAIL), (93, FAIL), (96, FAIL), onto=GOOD_A)
    found = situation({A: failing, B: GOOD_B})
    (sentence,) = told(found)
    assert sentence == (
        "fail_over: 1 more failure of primary in a row, the last of them not before 12:02:01 (in 21 s), "
        f"or 3 more among its last 20 results{THEN}"
    )
    words = f"fail_over: 1 more failure of primary in a row, or 3 more among its last 20 results{THEN}"
    assert told(found, now=121) == [words]


def test_enough_failures_in_a_window_that_is_not_full_ask_for_one_more() -> None:
    flapping = observed(*every(10, [OK, *[FAIL, OK] * 7]), of=A)
    assert told(situation({A: flapping, B: GOOD_B}), now=150) == [
        f"{STREAK}, or 1 more among its last 20 results{THEN}"
    ]


def test_failures_at_or_before_an_operators_choice_count_for_nothing() -> None:
    failing = observed((80, FAIL), (90, FAIL), onto=GOOD_A)
    assert told(situation({A: failing, B: GOOD_B}, chosen_at=90)) == [f"{STREAK}{THEN}"]
    since = told(situation({A: failing, B: GOOD_B}, chosen_at=80))
    assert since[0].startswith("fail_over: 2 more failures of primary in a row, the last")
    assert "or 5 more among its last 20 results" in since[0]


def test_failures_from_before_it_rose_again_count_for_nothing() -> None:
    risen = observed(*every(30, [OK, *[FAIL] * 4, OK, OK]), of=A)
    assert told(situation({A: risen, B: GOOD_B}), now=190) == [f"{STREAK}{THEN}"]
    failing = observed((200, FAIL), onto=risen)
    assert "or 5 more among its last 20 results" in told(situation({A: failing, B: GOOD_B}), now=205)[0]


def test_the_first_fit_one_in_the_order_of_preference_would_take_over() -> None:
    healths = {A: GOOD_A, C: GOOD_C, B: GOOD_B}
    assert told(situation(healths)) == [f"{STREAK}, then third takes over once it passes a probe."]
    gone = Candidate(ref=C, health=GOOD_C, gone_since=at(50))
    assert told(situation(healths | {C: gone})) == [f"{STREAK}{THEN}"]


def test_one_without_a_belief_has_to_be_probed_first() -> None:
    assert told(situation({A: None, B: GOOD_B})) == [
        "fail_over: primary has no belief yet; it has to be probed first."
    ]


def test_one_that_is_down_and_answers_is_left_or_kept_by_its_next_probe() -> None:
    answers = observed(*every(30, [OK, *[FAIL] * 4, OK]), of=A)
    assert told(situation({A: answers, B: GOOD_B}), now=160) == [
        f"fail_over: primary is down but answered last; its next probe says whether it stays{THEN}"
    ]


def test_a_block_is_counted_since_an_operators_choice() -> None:
    refused = observed((80, AUTH), (95, AUTH), onto=GOOD_A)
    one_more = f"fail_over: 1 more auth_failed of primary as well{THEN}"
    assert told(situation({A: refused, B: GOOD_B}, chosen_at=85)) == [f"{STREAK}{THEN}", one_more]
    assert told(situation({A: refused, B: GOOD_B}, chosen_at=95)) == [f"{STREAK}{THEN}"]


def test_a_block_needs_its_count_and_then_its_span() -> None:
    once, twice = observed((80, AUTH), onto=GOOD_A), observed((80, AUTH), (85, AUTH), onto=GOOD_A)
    for refused, count, word in ((once, 3, "2"), (once, 2, "1"), (twice, 2, "1")):
        sentences = told(situation({A: refused, B: GOOD_B}), policy=replace(POLICY, block_count=count))
        assert sentences[1:] == [f"fail_over: {word} more auth_failed of primary as well{THEN}"]


def test_in_the_first_moments_nobody_is_left_for_what_began_since() -> None:
    grace = "Not before 12:02:10, unless it failed before the daemon began to decide."
    found = situation({A: GOOD_A, B: GOOD_B}, deciding_since=70)
    assert told(found) == [f"{STREAK}{THEN}", grace]
    assert told(found, now=130) == [f"{STREAK}{THEN}"]
    refused = observed((80, AUTH), (95, AUTH), onto=GOOD_A)
    assert told(replace(found, candidates=situation({A: refused, B: GOOD_B}).candidates)) == [
        f"{STREAK}{THEN}",
        grace,
    ]
    down = observed(*every(10, [FAIL] * 4, begin=71), onto=GOOD_A)
    sentences = told(replace(found, candidates=situation({A: down, B: GOOD_B}).candidates), now=110)
    assert sentences[0].startswith("fail_over: 1 more failure of primary in a row")
    assert sentences[1:] == [grace]


def test_one_that_fails_with_nobody_to_take_over_calls_for_help() -> None:
    dead = observed(*every(10, [FAIL] * 4, begin=70), of=A)
    gone = Candidate(ref=B, health=GOOD_B, gone_since=at(50))
    assert told(situation({A: dead, B: gone}), now=102) == [
        "call_for_help: ai_server:1 is down: server_error, and no candidate is eligible."
    ]
    assert told(situation({A: dead, B: gone}, stranded_since=101), now=102) == [
        "call_for_help: the first candidate that passes a probe takes over, or primary when it passes again."
    ]


def test_one_that_was_left_only_just_is_waited_for() -> None:
    dead = observed(*every(10, [FAIL] * 4, begin=70), of=A)
    switches = [(90, B, A)]
    (sentence,) = told(situation({A: dead, B: GOOD_B}, switches=switches), now=102)
    assert sentence == (
        "It is decided again at 12:02:30: ai_server:1 is down: server_error; waiting: ai_server:2 was left "
        "only just, wait until 12:02:30."
    )


def test_a_purpose_that_may_not_return_by_itself_says_so_only_where_it_would() -> None:
    never = replace(POLICY, failback=Failback.NEVER)
    assert told(situation({A: GOOD_A, B: GOOD_B}), policy=never) == [f"{STREAK}{THEN}"]
    away = situation({A: GOOD_A, B: GOOD_B}, active=B)
    assert told(away, policy=never)[-1] == "No return by itself: failback is never."


def test_whoever_serves_without_being_preferred_is_left_for_any_that_is() -> None:
    found = situation({A: GOOD_A, B: GOOD_B, C: GOOD_C}, active=C, preference=(A, B))
    back = [one.partition(" not before")[0] for one in told(found) if one.startswith("fail_back")]
    assert back == ["fail_back: back to primary", "fail_back: back to fallback"]


def test_a_return_is_due_once_the_hold_is_over() -> None:
    found = situation({A: GOOD_A, B: GOOD_B}, active=B, preference=(A, B))
    soon = "fail_back: back to primary not before 12:05:01 (in 1 s), if it stays eligible and passes a probe"
    assert told(found, now=300)[-1] == f"{soon} then."
    asked = told(found, now=301)
    assert asked == ["primary takes over when the probe it is asked for now passes (fail_back)."]
    tried = observed((305, Outcome.INDETERMINATE), onto=GOOD_A)
    waiting = told(situation({A: tried, B: GOOD_B}, active=B, preference=(A, B)), now=310)
    assert waiting[-1] == "fail_back: back to primary now, if it stays eligible and passes a probe then."
    just = replace(POLICY, hold=seconds(309))
    again = told(situation({A: tried, B: GOOD_B}, active=B, preference=(A, B)), now=310, policy=just)
    assert again[-1] == "primary takes over when the probe it is asked for now passes (fail_back)."


def test_a_move_that_is_due_says_nothing_of_a_return() -> None:
    dead = observed(*every(10, [FAIL] * 4, begin=70), of=B)
    answers = observed((101, OK), of=C, onto=GOOD_C)
    down = observed(*every(30, [FAIL] * 4), of=A)
    found = situation({A: down, B: dead, C: answers}, active=B)
    assert told(found, now=103) == ["The move onto third is due now (fail_over)."]
    waits = situation({A: down, B: dead, C: GOOD_C}, active=B)
    assert told(waits, now=103) == ["third takes over when the probe it is asked for now passes (fail_over)."]


def test_failures_beyond_the_window_in_force_count_for_nothing() -> None:
    failed = observed(*every(10, [OK, FAIL, FAIL, OK, FAIL, OK, OK]), of=A)
    narrow = replace(POLICY, window=3, window_failures=3)
    (sentence,) = told(situation({A: failed, B: GOOD_B}), policy=narrow)
    assert sentence == f"{STREAK}, or 2 more among its last 3 results{THEN}"


def test_a_return_waits_for_the_gap_after_leaving() -> None:
    quick = replace(POLICY, hold=seconds(10))
    moves = [(80, A, B), (90, C, B)]
    found = situation({A: GOOD_A, B: GOOD_B}, active=B, preference=(A, B), switches=moves)
    decision = decide(found, at(100), quick)
    assert (decision.action, decision.wake_at) == (Action.KEEP, at(140))
    assert told(found, policy=quick)[-1] == (
        "fail_back: back to primary not before 12:02:20 (in 40 s), "
        "if it stays eligible and passes a probe then."
    )


def test_moves_within_the_window_forbid_a_return_until_enough_of_them_are_past() -> None:
    limit = replace(POLICY, switch_limit=2, switch_window=seconds(600))
    moves = [(-520, B, A), (-500, A, B), (10, B, A), (20, A, B), (30, B, A), (40, A, B)]
    found = situation({A: GOOD_A, B: GOOD_B}, active=B, preference=(A, B), switches=moves)
    assert told(found, policy=limit)[1:] == [
        "fail_back: 4 moves lie within the last 600 s; no return before 12:10:30."
    ]
    assert decide(found, at(100), limit).reason.startswith("4 switches within 600 s: no return before ")
    few = replace(found, switches=found.switches[:3])
    assert "moves lie" not in told(few, policy=limit)[-1]
    assert "2 moves lie" in told(few, now=99, policy=limit)[-1]
    served = replace(found, active=A)
    assert told(served, policy=limit) == [f"{STREAK}{THEN}"]


def test_a_promotion_holds_the_return_and_says_until_when() -> None:
    found = situation({A: GOOD_A, B: GOOD_B}, active=B, preference=(A, B), held=True)
    assert told(found)[-1] == "No return by itself: an operator's promotion holds it."
    assert told(replace(found, held_until=at(86_400)))[-1] == (
        "No return by itself until 2026-03-02 12:00:00: an operator's promotion holds it."
    )
    assert len(told(found)) == 2
    assert "promotion" not in told(situation({A: GOOD_A, B: GOOD_B}, held=True))[-1]


def test_a_hold_begins_with_a_new_order_and_with_the_end_of_a_maintenance() -> None:
    ripe = "fail_back: back to primary not before 12:06:30 (in 290 s)"
    ordered = situation({A: GOOD_A, B: GOOD_B}, active=B, preference=(A, B), ordered_at=90)
    assert told(ordered)[-1].startswith(ripe)
    earlier = situation({A: GOOD_A, B: GOOD_B}, active=B, preference=(A, B), ordered_at=-10)
    assert "not before 12:05:01" in told(earlier)[-1]
    was_away = Candidate(ref=A, health=GOOD_A, maintenance=Maintenance(since=at(20), until=at(90)))
    returned = situation({A: was_away, B: GOOD_B}, active=B, preference=(A, B))
    assert told(returned)[-1].startswith(ripe)
    for one in (ordered, returned):
        assert decide(one, at(100), POLICY).wake_at == at(390)
