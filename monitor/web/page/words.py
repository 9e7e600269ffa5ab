"""What the page calls things: ages, shares, states and outcomes in words that an operator knows."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from monitor.domain.application_status import ApplicationStatus, HealthWarning
from monitor.domain.eligibility import Block
from monitor.domain.outcome import OUTCOME_WORDS, Outcome
from monitor.domain.provider import ProviderRef, Purpose

_REF = re.compile(r"\b(?:ai_server|api_key):[0-9]{1,10}\b")
_OUTCOME = re.compile(rf"(?<=: )(?:{'|'.join(Outcome)})\b")
_BLOCK = re.compile(rf"(?<=blocked: )(?:{'|'.join(Block)})\b")

NUMBERS = ("no", "one", "two", "three")


class Tone(StrEnum):
    """How a state looks, the worst first; each has a shape and words of its own beside its colour."""

    BAD = "bad"
    WARN = "warn"
    UNKNOWN = "unknown"
    OK = "ok"
    OFF = "off"


TONES = {
    ApplicationStatus.DOWN: Tone.BAD,
    ApplicationStatus.DEGRADED: Tone.WARN,
    ApplicationStatus.UNKNOWN: Tone.UNKNOWN,
    ApplicationStatus.HEALTHY: Tone.OK,
}

STATUS_WORDS = {
    ApplicationStatus.DOWN: "down",
    ApplicationStatus.DEGRADED: "degraded",
    ApplicationStatus.UNKNOWN: "not known",
    ApplicationStatus.HEALTHY: "healthy",
}

BLOCK_WORDS = {
    Block.AUTH: "its key is refused",
    Block.QUOTA: "its credit or quota is used up",
    Block.MODEL_MISSING: "it does not know the model",
    Block.MAINTENANCE: "it is in maintenance",
    Block.GONE: "its row was deleted or disabled",
    Block.RATE_LIMITED: "it asks for a pause: too many requests",
    Block.STARTING: "it is still loading",
}

WARNING_WORDS = {
    HealthWarning.LIGHT_FAILING: "its free check fails",
    HealthWarning.BUSY: "it is busy",
    HealthWarning.RATE_LIMITED: "it was asked too often",
    HealthWarning.STARTING: "it is still loading",
    HealthWarning.SLOW: "it is slower than usual",
}

RULE_WORDS = {
    "adopted": "named by the application's row from the first",
    "operator": "an operator chose it",
    "promote": "an operator promoted it",
    "pin": "an operator pinned it",
    "fail_over": "took over from one that failed",
    "fail_back": "the preferred one came back",
    "call_for_help": "the first that passed while nobody was fit",
}


def age(span: timedelta) -> str:
    """How long, as one would say it: `12 s`, `4 min`, `3 h 20 min`, `2 d 5 h`; nothing is negative."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    if days < 14:
        return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"
    return f"{days} d"


def clock(moment: datetime, now: datetime) -> str:
    """An instant in UTC: its time today, else with its day."""
    at, today = moment.astimezone(UTC), now.astimezone(UTC).date()
    if at.date() == today:
        return f"{at:%H:%M} UTC"
    return f"{at:%d %b %H:%M} UTC" if abs((today - at.date()).days) < 180 else f"{at:%d %b %Y %H:%M} UTC"


def exact(moment: datetime) -> str:
    """An instant to the second, with its day and zone."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def seconds(value: float | None) -> str:
    """A latency: `48 ms`, `0.42 s`, `12 s`; empty when there is none."""
    if value is None:
        return ""
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def share(value: float | None) -> str:
    """A share in per cent that is never rounded up to all: `99.98 %`; `unknown` when nothing was counted."""
    if value is None:
        return "unknown"
    if value >= 1:
        return "100 %"
    cut = int(value * 10_000) / 100
    return f"{cut:.2f} %" if cut >= 99 else f"{int(value * 1000) / 10:.1f} %"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 provider`, `60 providers`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def purposes_all(names: Sequence[str]) -> str:
    """How all of some purposes are called together: `chat`, `Both purposes`, `All three purposes`."""
    match len(names):
        case 1:
            return names[0]
        case 2:
            return "Both purposes"
        case number:
            return f"All {NUMBERS[number] if number < len(NUMBERS) else number} purposes"


def blocks_in_words(blocks: Iterable[Block]) -> tuple[str, ...]:
    """Why something is kept from serving, a clause each."""
    return tuple(BLOCK_WORDS[one] for one in blocks)


def reason_in_words(reason: str, name: Callable[[ProviderRef], str]) -> str:
    """A recorded reason with names in the place of rows, and outcomes as a person would say them.

    Args:
        reason: such as `ai_server:1 is down: timeout`.
        name: how a provider is called.
    """
    told = _BLOCK.sub(lambda found: BLOCK_WORDS[Block(found[0])], reason)
    told = _OUTCOME.sub(lambda found: OUTCOME_WORDS[Outcome(found[0])], told)
    return _REF.sub(lambda found: name(ProviderRef.parse(found[0])), told)


def is_purpose(name: str) -> bool:
    """Whether a row's purpose is one of ours."""
    return name in {str(one) for one in Purpose}
