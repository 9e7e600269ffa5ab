"""The fields that an act's form sends, read and refused in words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from monitor.domain.provider import ProviderRef, Purpose

SPANS = (
    ("900", "15 minutes"),
    ("1800", "30 minutes"),
    ("3600", "1 hour"),
    ("7200", "2 hours"),
    ("14400", "4 hours"),
    ("28800", "8 hours"),
    ("86400", "1 day"),
    ("259200", "3 days"),
    ("604800", "7 days"),
)
"""For how long, as it is offered; any other number of seconds is taken too."""

LONGEST_SPAN = timedelta(days=366)
LONGEST_REASON = 500
_REF = re.compile(r"(api_key|ai_server):[1-9]\d{0,8}")
_SECONDS = re.compile(r"[1-9]\d{0,8}")


class FieldProblem(Exception):
    """A field that can't be understood; the message is for the person who filled it in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActForm:
    """What an act's form says.

    Attributes:
        to: onto whom, or None.
        purpose: for which purpose a probe is, or None.
        span: for how long; None without an end.
        begin: from when on, UTC; None for now.
        reason: why, or None.
        force: also onto one that is not fit.
        seen: what the person saw.
    """

    to: ProviderRef | None
    purpose: Purpose | None
    span: timedelta | None
    begin: datetime | None
    reason: str | None
    force: bool
    seen: str


def read_act_form(fields: Mapping[str, str]) -> ActForm:
    """Read the fields.

    Raises:
        FieldProblem: one can't be understood.
    """
    return ActForm(
        to=_to(fields.get("to", "")),
        purpose=read_purpose(fields.get("for_purpose", "")),
        span=_span(fields.get("span", "")),
        begin=_begin(fields.get("begin", "").strip()),
        reason=_reason(fields.get("reason", "")),
        force=fields.get("force") == "yes",
        # Without what was seen nothing is acted on: "" is the word of no state.
        seen=fields.get("seen", ""),
    )


def read_ref(text: str) -> ProviderRef | None:
    """A provider's row; None when the text names none."""
    return ProviderRef.parse(text) if _REF.fullmatch(text) else None


def read_purpose(text: str) -> Purpose | None:
    """A purpose; None when the text names none."""
    return Purpose(text) if text in set(Purpose) else None


def _to(text: str) -> ProviderRef | None:
    ref = read_ref(text)
    if text and ref is None:
        raise FieldProblem("No provider is written like that: choose one of those below.")
    return ref


def _span(text: str) -> timedelta | None:
    if not text:
        return None
    if not _SECONDS.fullmatch(text) or timedelta(seconds=int(text)) > LONGEST_SPAN:
        raise FieldProblem("For how long is not understood: choose one of those below.")
    return timedelta(seconds=int(text))


def _begin(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise FieldProblem(
            "The beginning is not understood: write it as in 2026-03-01 02:00 (UTC)."
        ) from None


def _reason(text: str) -> str | None:
    bare = text.strip()
    if len(bare) > LONGEST_REASON:
        raise FieldProblem(f"The reason is too long: {LONGEST_REASON} characters at most.")
    return bare or None
