"""From what came back to an outcome: the one table that decides."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from monitor.domain.outcome import Outcome
from monitor.domain.target import ProbeKind


class Fault(StrEnum):
    """How an exchange failed below the level of an answer."""

    REFUSED = "refused"
    RESET = "reset"
    DNS = "dns"
    TLS = "tls"
    CONNECT_TIMEOUT = "connect_timeout"
    NETWORK = "network"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    CUT = "cut"
    GARBAGE = "garbage"
    REDIRECT = "redirect"
    TOO_LARGE = "too_large"
    METADATA_ADDRESS = "metadata_address"


NO_CONNECTION = frozenset(
    {
        Fault.REFUSED,
        Fault.RESET,
        Fault.DNS,
        Fault.TLS,
        Fault.CONNECT_TIMEOUT,
        Fault.NETWORK,
        Fault.METADATA_ADDRESS,
    }
)
NO_ANSWER_IN_TIME = frozenset({Fault.TIMEOUT, Fault.STALLED})
NO_SENSE = frozenset({Fault.CUT, Fault.GARBAGE, Fault.REDIRECT, Fault.TOO_LARGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that one probe left behind, from the wire up.

    Attributes:
        kind: light or deep.
        fault: how the exchange failed, or None when an answer came.
        http_status: the answer's, or None without one.
        json_error: the body is JSON and carries an error.
        error_codes: that error's codes, types and states, lower case.
        error_text: that error's text, or the beginning of a body that is no JSON; lower case, no addresses.
        usable: the answer holds what was wanted (text, a vector, a ranking; light: the list or the check).
        streamed: the answer was asked for as a stream.
        finish_reason: how the stream says it ended; None when it does not say.
        hidden_reasoning: tokens were spent although no text is to be seen.
        model_named: the operator chose the model.
        server_busy: the server's own counters moved or its slots were taken while we waited.
        loop_late: our event loop was late by over half the timeout.
        descriptors_exhausted: we had no file descriptor left.
        key_unreadable: the stored key cannot be decrypted.
        keyring_unfit: no stored key can be decrypted: our own encryption key is wrong.
        nothing_to_check: no light check of this provider is known.
        own_fault: the type of an exception of ours, or None.
    """

    kind: ProbeKind
    fault: Fault | None = None
    http_status: int | None = None
    json_error: bool = False
    error_codes: frozenset[str] = frozenset()
    error_text: str = ""
    usable: bool = False
    streamed: bool = False
    finish_reason: str | None = None
    hidden_reasoning: bool = False
    model_named: bool = True
    server_busy: bool = False
    loop_late: bool = False
    descriptors_exhausted: bool = False
    key_unreadable: bool = False
    keyring_unfit: bool = False
    nothing_to_check: bool = False
    own_fault: str | None = None


class Rule(NamedTuple):
    """One line of the table: the first whose test holds decides."""

    why: str
    test: Callable[[Evidence], bool]
    outcome: Outcome


QUOTA_CODES = frozenset(
    {
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
    }
)
RATE_CODES = frozenset(
    {"rate_limit_exceeded", "rate_limit_error", "rate_limited", "too_many_requests", "1300"}
)
CREDENTIAL_CODES = frozenset(
    {
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
    }
)
MODEL_CODES = frozenset({"model_not_found", "model_not_available", "invalid_model", "unknown_model", "1500"})

QUOTA_WORDS = re.compile(
    r"quota|credit|billing|payment|prepaid|insufficient (?:funds|balance)|spend(?:ing)? (?:limit|cap)"
    r"|key limit"
)
PER_MINUTE_WORDS = re.compile(r"per[ _-]?min|per[ _-]?second|\brpm\b|\btpm\b|rate limit")
CREDENTIAL_WORDS = re.compile(
    r"api[ _-]?key|credential|unauthori[sz]ed|authenticat|\btoken\b|permission"
    r"|not authori[sz]ed|authori[sz]ation"
)
BAD_KEY_WORDS = re.compile(
    r"(?:invalid|incorrect|wrong|expired|missing|no) api[ _-]?key"
    r"|api[ _-]?key (?:is )?(?:not valid|invalid|expired|not found)"
)
MODEL_WORDS = re.compile(
    r"\bmodels?\b.*(?:not[ _]found|not exist|unknown|not (?:a )?valid|not supported|not available|unavailable"
    r"|not deployed|no access|not have access|no such|no longer|decommission|deprecat|retired)"
    r"|(?:unknown|invalid|no such|unsupported|unable to access|could not find|cannot find)[^.]{0,20}\bmodel"
    r"|no endpoints found|model_not_found|^model: \S+$",
    re.DOTALL,
)
LOADING_WORDS = re.compile(
    r"(?<!error )(?<!failed )\bloading(?: the)? model|model (?:[^ ]+ )?is (?:currently )?loading"
    r"|still loading|starting up|warming up|not ready yet|initiali[sz]ing"
)


def _speaks(words: re.Pattern[str], evidence: Evidence) -> bool:
    return words.search(evidence.error_text) is not None


def _out_of_quota(e: Evidence) -> bool:
    if e.http_status == 402:
        return True
    if e.http_status not in {429, 400, 403}:
        return False
    if e.error_codes & QUOTA_CODES:
        return True
    if e.http_status == 429 and (e.error_codes & RATE_CODES or _speaks(PER_MINUTE_WORDS, e)):
        return False
    return _speaks(QUOTA_WORDS, e)


def _bad_credential(e: Evidence) -> bool:
    if not e.json_error:
        return False
    match e.http_status:
        case 401:
            return True
        case 403:
            return bool(e.error_codes & CREDENTIAL_CODES) or _speaks(CREDENTIAL_WORDS, e)
        case 400:  # Google and xAI refuse a bad key so
            return "api_key_invalid" in e.error_codes or _speaks(BAD_KEY_WORDS, e)
        case _:
            return False


def _unknown_model(e: Evidence) -> bool:
    if e.http_status not in {400, 404} or not e.json_error:
        return False
    return bool(e.error_codes & MODEL_CODES) or _speaks(MODEL_WORDS, e)


def _status(e: Evidence) -> int:
    return e.http_status or 0


def _complete(e: Evidence) -> bool:
    if not 200 <= _status(e) < 300 or e.json_error:
        return False
    if e.streamed and e.finish_reason is None:
        return False
    return e.usable or (e.finish_reason == "length" and e.hidden_reasoning)


TABLE: tuple[Rule, ...] = (
    # Ourselves first: what we broke says nothing of anybody else.
    Rule("no stored key can be decrypted", lambda e: e.keyring_unfit, Outcome.INDETERMINATE),
    Rule("the stored key cannot be decrypted", lambda e: e.key_unreadable, Outcome.AUTH_FAILED),
    Rule("nothing to check", lambda e: e.nothing_to_check, Outcome.INDETERMINATE),
    Rule("no file descriptor left here", lambda e: e.descriptors_exhausted, Outcome.INDETERMINATE),
    Rule("our event loop was late", lambda e: e.loop_late and e.fault is not None, Outcome.INDETERMINATE),
    # Then the transport.
    Rule("busy: its counters move", lambda e: e.fault in NO_ANSWER_IN_TIME and e.server_busy, Outcome.BUSY),
    Rule("no answer in time", lambda e: e.fault in NO_ANSWER_IN_TIME, Outcome.TIMEOUT),
    Rule("no connection", lambda e: e.fault in NO_CONNECTION, Outcome.UNREACHABLE),
    Rule("an answer without sense or end", lambda e: e.fault in NO_SENSE, Outcome.BAD_RESPONSE),
    Rule("our own exception", lambda e: e.own_fault is not None, Outcome.PROBE_INVALID),
    Rule("nothing was sent", lambda e: e.http_status is None, Outcome.PROBE_INVALID),
    # Then the body's error, whatever the status makes of it.
    Rule("out of quota or credit", _out_of_quota, Outcome.QUOTA_EXHAUSTED),
    Rule("too many requests", lambda e: e.http_status == 429, Outcome.RATE_LIMITED),
    Rule("the key is refused", _bad_credential, Outcome.AUTH_FAILED),
    Rule("the model is unknown", lambda e: _unknown_model(e) and e.model_named, Outcome.MODEL_MISSING),
    Rule("a model of our choice is unknown", _unknown_model, Outcome.PROBE_INVALID),
    Rule("loading", lambda e: _status(e) == 503 and _speaks(LOADING_WORDS, e), Outcome.STARTING),
    # Then the status.
    Rule("a redirect, never followed", lambda e: 300 <= _status(e) < 400, Outcome.BAD_RESPONSE),
    Rule("request timeout", lambda e: _status(e) == 408, Outcome.TIMEOUT),
    Rule("server error", lambda e: _status(e) >= 500, Outcome.SERVER_ERROR),
    Rule("a request of ours is wrong", lambda e: _status(e) in {400, 413, 422}, Outcome.PROBE_INVALID),
    Rule("refused without a reason", lambda e: _status(e) >= 400, Outcome.BAD_RESPONSE),
    # And what is left has to be a good answer.
    Rule("a usable answer", _complete, Outcome.OK),
    Rule("an answer that is none", lambda e: True, Outcome.BAD_RESPONSE),
)


def classify(evidence: Evidence) -> Outcome:
    """The outcome of the first line of the table that holds; the last one always does."""
    return explain(evidence).outcome


def explain(evidence: Evidence) -> Rule:
    """The line itself, whose `why` a person can read."""
    return next(rule for rule in TABLE if rule.test(evidence))
