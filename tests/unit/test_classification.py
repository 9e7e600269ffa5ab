"""The table from evidence to outcome, line by line."""

import itertools

import pytest

from monitor.domain.classification import TABLE, Evidence, Fault, classify, explain
from monitor.domain.outcome import Outcome
from monitor.domain.target import ProbeKind

DEEP = ProbeKind.DEEP
GOOD = Evidence(kind=DEEP, http_status=200, usable=True, streamed=True, finish_reason="stop")


def refusal(status: int, text: str = "", *codes: str, json: bool = True, named: bool = True) -> Evidence:
    return Evidence(
        kind=DEEP,
        http_status=status,
        json_error=json,
        error_codes=frozenset(codes),
        error_text=text,
        model_named=named,
    )


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault.REFUSED, Outcome.UNREACHABLE),
        (Fault.RESET, Outcome.UNREACHABLE),
        (Fault.DNS, Outcome.UNREACHABLE),
        (Fault.TLS, Outcome.UNREACHABLE),
        (Fault.CONNECT_TIMEOUT, Outcome.UNREACHABLE),
        (Fault.NETWORK, Outcome.UNREACHABLE),
        (Fault.TIMEOUT, Outcome.TIMEOUT),
        (Fault.STALLED, Outcome.TIMEOUT),
        (Fault.CUT, Outcome.BAD_RESPONSE),
        (Fault.GARBAGE, Outcome.BAD_RESPONSE),
        (Fault.REDIRECT, Outcome.BAD_RESPONSE),
        (Fault.TOO_LARGE, Outcome.BAD_RESPONSE),
    ],
)
def test_the_transport_speaks_before_the_status(fault: Fault, outcome: Outcome) -> None:
    for status in (None, 200, 429, 500):
        assert classify(Evidence(kind=DEEP, fault=fault, http_status=status, usable=True)) is outcome


def test_every_fault_has_its_line() -> None:
    for fault in Fault:
        assert explain(Evidence(kind=DEEP, fault=fault)) is not TABLE[-1]


def test_busy_counters_excuse_a_timeout_and_nothing_else() -> None:
    for fault in Fault:
        outcome = classify(Evidence(kind=DEEP, fault=fault, server_busy=True))
        assert (outcome is Outcome.BUSY) == (fault in {Fault.TIMEOUT, Fault.STALLED})


def test_what_we_broke_ourselves_is_no_vote() -> None:
    for fault in Fault:
        assert classify(Evidence(kind=DEEP, fault=fault, loop_late=True)) is Outcome.INDETERMINATE
        assert classify(Evidence(kind=DEEP, fault=fault, descriptors_exhausted=True)) is Outcome.INDETERMINATE
    assert classify(Evidence(kind=DEEP, own_fault="ValueError")) is Outcome.PROBE_INVALID
    assert classify(Evidence(kind=DEEP)) is Outcome.PROBE_INVALID
    assert classify(Evidence(kind=DEEP, key_unreadable=True)) is Outcome.AUTH_FAILED
    assert classify(Evidence(kind=ProbeKind.LIGHT, nothing_to_check=True)) is Outcome.INDETERMINATE


def test_a_late_loop_does_not_take_back_an_answer() -> None:
    late = Evidence(
        kind=DEEP, http_status=200, usable=True, streamed=True, finish_reason="stop", loop_late=True
    )
    assert classify(late) is Outcome.OK


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        # quota, in the words of those who send it
        (refusal(402, json=False), Outcome.QUOTA_EXHAUSTED),
        (refusal(429, "you exceeded your current quota", "insufficient_quota"), Outcome.QUOTA_EXHAUSTED),
        (refusal(400, "your credit balance is too low to access the anthropic api"), Outcome.QUOTA_EXHAUSTED),
        (refusal(403, "key limit exceeded (total limit)"), Outcome.QUOTA_EXHAUSTED),
        (refusal(403, "your team has used all available credits"), Outcome.QUOTA_EXHAUSTED),
        # rates, although they mention money on the way
        (refusal(429, json=False), Outcome.RATE_LIMITED),
        (refusal(429, "limit reached, add billing for more", "rate_limit_exceeded"), Outcome.RATE_LIMITED),
        (refusal(429, "quota exceeded: requests per minute per project"), Outcome.RATE_LIMITED),
        # keys
        (refusal(401, "user not found."), Outcome.AUTH_FAILED),
        (refusal(401, "no", json=False), Outcome.BAD_RESPONSE),
        (refusal(403, "permission denied", "permission_denied"), Outcome.AUTH_FAILED),
        (refusal(403, "blocked by policy 7"), Outcome.BAD_RESPONSE),
        (refusal(403, "access denied", json=False), Outcome.BAD_RESPONSE),
        (
            refusal(400, "api key not valid. please pass a valid api key.", "api_key_invalid"),
            Outcome.AUTH_FAILED,
        ),
        (refusal(400, "incorrect api key provided: xa***y"), Outcome.AUTH_FAILED),
        # models
        (refusal(404, "the model `x` does not exist", "model_not_found"), Outcome.MODEL_MISSING),
        (refusal(404, 'model "llama9" not found, try pulling it first'), Outcome.MODEL_MISSING),
        (refusal(404, "model: claude-none", "not_found_error"), Outcome.MODEL_MISSING),
        (refusal(404, "models/x is not found for api version v1beta", "not_found"), Outcome.MODEL_MISSING),
        (refusal(404, "no endpoints found for a/b."), Outcome.MODEL_MISSING),
        (refusal(400, "model not exist"), Outcome.MODEL_MISSING),
        (refusal(400, "invalid model: x", "1500"), Outcome.MODEL_MISSING),
        (refusal(400, "the model x has been decommissioned"), Outcome.MODEL_MISSING),
        (refusal(404, "the model x does not exist", named=False), Outcome.PROBE_INVALID),
        (refusal(404, "not found"), Outcome.BAD_RESPONSE),
        (refusal(404, "the model x does not exist", json=False), Outcome.BAD_RESPONSE),
        # loading
        (refusal(503, "loading model"), Outcome.STARTING),
        (refusal(503, "model x/y is currently loading"), Outcome.STARTING),
        (refusal(503, "error loading model weights"), Outcome.SERVER_ERROR),
        (refusal(503, "no upstream"), Outcome.SERVER_ERROR),
        # the rest, by status
        (refusal(400, "temperature is too high"), Outcome.PROBE_INVALID),
        (refusal(422, "field required"), Outcome.PROBE_INVALID),
        (refusal(413), Outcome.PROBE_INVALID),
        (refusal(408), Outcome.TIMEOUT),
        (refusal(405), Outcome.BAD_RESPONSE),
        (refusal(307, json=False), Outcome.BAD_RESPONSE),
        (refusal(500), Outcome.SERVER_ERROR),
        (refusal(502, json=False), Outcome.SERVER_ERROR),
        (refusal(504), Outcome.SERVER_ERROR),
        (refusal(529, "overloaded", "overloaded_error"), Outcome.SERVER_ERROR),
    ],
)
def test_a_refusal_becomes_its_outcome(evidence: Evidence, outcome: Outcome) -> None:
    assert classify(evidence) is outcome, explain(evidence).why


def test_a_good_status_passes_exactly_when_the_answer_is_whole() -> None:
    for usable, streamed, error, finish, hidden in itertools.product(
        (False, True), (False, True), (False, True), (None, "stop", "length"), (False, True)
    ):
        evidence = Evidence(
            kind=DEEP,
            http_status=200,
            usable=usable,
            streamed=streamed,
            json_error=error,
            finish_reason=finish,
            hidden_reasoning=hidden,
        )
        ended = finish is not None or not streamed
        whole = ended and not error and (usable or (finish == "length" and hidden))
        assert classify(evidence) is (Outcome.OK if whole else Outcome.BAD_RESPONSE)


def test_every_status_has_an_outcome_and_only_two_hundreds_pass() -> None:
    for status in range(100, 600):
        outcome = classify(
            Evidence(kind=DEEP, http_status=status, usable=True, streamed=True, finish_reason="stop")
        )
        assert (outcome is Outcome.OK) == (200 <= status < 300)


def test_every_outcome_but_none_other_comes_from_the_table() -> None:
    assert {rule.outcome for rule in TABLE} == set(Outcome)
    assert explain(GOOD).outcome is Outcome.OK
