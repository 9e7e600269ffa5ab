"""The table from evidence to outcome, line by line."""

import itertools

import pytest

from monitor.domain.classification import TABLE, Evidence, Fault, classify, explain
from monitor.domain.outcome import OUTCOME_WORDS, Outcome
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
        (Fault.METADATA_ADDRESS, Outcome.UNREACHABLE),
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


def test_every_outcome_has_words_of_its_own() -> None:
    assert set(OUTCOME_WORDS) == set(Outcome)
    assert len(set(OUTCOME_WORDS.values())) == len(Outcome)


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
    assert classify(Evidence(kind=DEEP, keyring_unfit=True)) is Outcome.INDETERMINATE
    assert classify(Evidence(kind=ProbeKind.LIGHT, nothing_to_check=True)) is Outcome.INDETERMINATE


def test_a_late_loop_does_not_take_back_an_answer() -> None:
    late = Evidence(
        kind=DEEP, http_status=200, usable=True, streamed=True, finish_reason="stop", loop_late=True
    )
    assert classify(late) is Outcome.OK


def test_our_own_exception_is_our_defect_whatever_came_back() -> None:
    for status in (None, 200, 429, 500):
        found = classify(Evidence(kind=DEEP, http_status=status, usable=True, own_fault="KeyError"))
        assert found is Outcome.PROBE_INVALID


def test_a_good_status_alone_is_no_answer() -> None:
    assert classify(Evidence(kind=DEEP, http_status=200)) is Outcome.BAD_RESPONSE
    assert classify(Evidence(kind=DEEP, http_status=200, finish_reason="length")) is Outcome.BAD_RESPONSE
    assert classify(Evidence(kind=DEEP, http_status=200, usable=True)) is Outcome.OK


def test_a_model_is_the_operators_unless_it_is_told_to_be_ours() -> None:
    unknown = Evidence(kind=DEEP, http_status=404, json_error=True, error_codes=frozenset({"invalid_model"}))
    assert classify(unknown) is Outcome.MODEL_MISSING


def test_a_code_that_nobody_knows_tells_nothing() -> None:
    assert classify(refusal(429, "see your billing page", "e42")) is Outcome.QUOTA_EXHAUSTED
    assert classify(refusal(403, "no", "e42")) is Outcome.BAD_RESPONSE
    assert classify(refusal(404, "no", "e42")) is Outcome.BAD_RESPONSE


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (299, "an answer that is none"),
        (300, "a redirect, never followed"),
        (399, "a redirect, never followed"),
        (401, "refused without a reason"),
        (499, "refused without a reason"),
        (500, "server error"),
        (599, "server error"),
    ],
)
def test_a_status_alone_has_its_line(status: int, why: str) -> None:
    assert explain(refusal(status, json=False)).why == why


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


@pytest.mark.parametrize(
    "code",
    [
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "insufficient_balance",
        "insufficient_credits",
        "payment_required",
        "credit_balance_too_low",
        "quota_exceeded",
        "exceeded_current_quota_error",
    ],
)
def test_a_code_of_an_empty_account_tells_quota_whatever_the_text(code: str) -> None:
    for status in (429, 400, 403):
        assert classify(refusal(status, "too many requests per minute", code)) is Outcome.QUOTA_EXHAUSTED


@pytest.mark.parametrize(
    "text",
    [
        "you have reached your quota",
        "add credit to go on",
        "check your billing details",
        "a payment is due",
        "the prepaid amount is used up",
        "insufficient funds",
        "insufficient balance",
        "spend limit reached",
        "spending limit reached",
        "spend cap reached",
        "spending cap reached",
        "key limit exceeded",
    ],
)
def test_words_of_an_empty_account_tell_quota(text: str) -> None:
    for status in (429, 400, 403):
        assert classify(refusal(status, text)) is Outcome.QUOTA_EXHAUSTED
    assert classify(refusal(500, text)) is Outcome.SERVER_ERROR


@pytest.mark.parametrize(
    "code", ["rate_limit_exceeded", "rate_limit_error", "rate_limited", "too_many_requests", "1300"]
)
def test_a_code_of_a_rate_outweighs_words_of_money(code: str) -> None:
    assert classify(refusal(429, "see your billing page", code)) is Outcome.RATE_LIMITED
    assert classify(refusal(400, "see your billing page", code)) is Outcome.QUOTA_EXHAUSTED


@pytest.mark.parametrize(
    "text",
    [
        "quota of 10 per minute",
        "quota of requests_per_min",
        "generatecontentperminuteperproject quota",
        "quota of 5 requests per second",
        "quota: 60 rpm",
        "quota: 60000 tpm",
        "rate limit of your quota",
    ],
)
def test_a_quota_by_the_minute_or_second_is_a_rate(text: str) -> None:
    assert classify(refusal(429, text)) is Outcome.RATE_LIMITED
    assert classify(refusal(403, text)) is Outcome.QUOTA_EXHAUSTED


@pytest.mark.parametrize(
    "code",
    [
        "invalid_api_key",
        "authentication_error",
        "api_key_invalid",
        "unauthenticated",
        "unauthorized",
        "invalid_authentication",
        "permission_error",
        "permission_denied",
        "account_deactivated",
        "missing_api_key",
    ],
)
def test_a_code_of_a_refused_key_makes_a_403_its_fault(code: str) -> None:
    assert classify(refusal(403, "no", code)) is Outcome.AUTH_FAILED
    assert classify(refusal(403, "no", code, json=False)) is Outcome.BAD_RESPONSE


@pytest.mark.parametrize(
    "text",
    [
        "this api key is disabled",
        "this api_key is disabled",
        "bad credentials",
        "you are unauthorized",
        "you are unauthorised",
        "could not authenticate",
        "the token was revoked",
        "no permission",
        "not authorized to do this",
        "not authorised to do this",
        "authorization failed",
        "authorisation failed",
    ],
)
def test_words_of_a_refused_key_make_a_403_its_fault(text: str) -> None:
    assert classify(refusal(403, text)) is Outcome.AUTH_FAILED
    assert classify(refusal(405, text)) is Outcome.BAD_RESPONSE


@pytest.mark.parametrize(
    "text",
    [
        *(f"{word} api key" for word in ("invalid", "incorrect", "wrong", "expired", "missing", "no")),
        *(f"api key {word}" for word in ("is not valid", "invalid", "is expired", "not found")),
    ],
)
def test_a_400_that_calls_the_key_bad_is_the_keys_fault(text: str) -> None:
    assert classify(refusal(400, text)) is Outcome.AUTH_FAILED


def test_a_400_with_the_code_of_a_bad_key_needs_no_words() -> None:
    assert classify(refusal(400, "", "api_key_invalid")) is Outcome.AUTH_FAILED


@pytest.mark.parametrize(
    "code", ["model_not_found", "model_not_available", "invalid_model", "unknown_model", "1500"]
)
def test_a_code_of_an_unknown_model_needs_no_words(code: str) -> None:
    for status in (400, 404):
        assert classify(refusal(status, "", code)) is Outcome.MODEL_MISSING
    assert classify(refusal(405, "", code)) is Outcome.BAD_RESPONSE


@pytest.mark.parametrize(
    "text",
    [
        *(
            f"the model x {words}"
            for words in (
                *("is not found", "was not_found", "does not exist", "is unknown", "is not valid"),
                *("is not a valid one", "is not supported", "is not available", "is unavailable"),
                *("is not deployed", "gives you no access", "is one you do not have access to"),
                *("- there is no such thing", "is no longer served", "was decommissioned", "is deprecated"),
                "was retired",
            )
        ),
        *(
            f"{words} model x"
            for words in (
                *("unknown", "invalid", "no such", "unsupported", "unable to access", "could not find"),
                "cannot find",
            )
        ),
        "no endpoints found for x",
        "error model_not_found",
        "model: x",
    ],
)
def test_words_of_an_unknown_model_tell_it(text: str) -> None:
    assert classify(refusal(404, text)) is Outcome.MODEL_MISSING
    assert classify(refusal(500, text)) is Outcome.SERVER_ERROR


@pytest.mark.parametrize(
    "text",
    [
        "loading model",
        "loading the model",
        "model is loading",
        "model x/y is loading",
        "model is currently loading",
        "model x is still loading",
        "weights are still loading",
        "starting up",
        "warming up",
        "not ready yet",
        "initializing",
        "initialising",
    ],
)
def test_words_of_a_server_that_loads_excuse_a_503_and_nothing_else(text: str) -> None:
    assert classify(refusal(503, text, json=False)) is Outcome.STARTING
    assert classify(refusal(500, text, json=False)) is Outcome.SERVER_ERROR


@pytest.mark.parametrize("text", ["error loading model", "failed loading the model"])
def test_a_server_that_failed_to_load_is_not_loading(text: str) -> None:
    assert classify(refusal(503, text)) is Outcome.SERVER_ERROR


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
