"""Policies as an operator writes them: durations with units, and checks that name what to mend."""

import math
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

from monitor.domain.policy import Failback, Policy
from monitor.domain.reports import MOST_KEPT

DEFAULTS = Policy()
NAMES = tuple(field.name for field in fields(Policy))

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_LONGEST_SECONDS = 366 * 86400.0
_AT_LEAST_ONE = (
    "fall",
    "window",
    "window_failures",
    "rise",
    "block_count",
    "rate_limit_count",
    "report_fall",
    "report_window",
    "stale_intervals",
)
_NOT_LONGER = (
    ("connect_timeout", "timeout"),
    ("first_token_timeout", "timeout"),
    ("stall_timeout", "timeout"),
    ("timeout", "timeout_loading"),
    ("first_token_timeout_loading", "timeout_loading"),
    ("hold", "hold_max"),
)


class PolicyError(ValueError):
    """A policy makes no sense.

    Attributes:
        names: the policy's fields that are to blame, the likeliest first.
        reason: what is wrong and what to do.
    """

    def __init__(self, reason: str, *names: str) -> None:
        super().__init__(f"{names[0]}: {reason}")
        self.names = names
        self.reason = reason


def policy_name(written: str) -> str | None:
    """The policy's field that `fall_span` or `fall_span_seconds` means; None when there is none."""
    if written in NAMES:
        return written
    bare = written.removesuffix("_seconds")
    return bare if bare in NAMES and isinstance(getattr(DEFAULTS, bare), timedelta) else None


def parse_duration(value: object) -> timedelta:
    """Read seconds (`30`, `"2.5"`) or numbers with units (`"250ms"`, `"30s"`, `"5m"`, `"1h30m"`, `"2d"`).

    Raises:
        ValueError: it is nothing of that, below 0, or longer than a year.
    """
    seconds: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if value <= _LONGEST_SECONDS else math.inf  # no float holds every whole number
    elif isinstance(value, str):
        text = value.strip().lower()
        if re.fullmatch(r"\d+(?:\.\d+)?", text):
            seconds = float(text)
        elif text and _PART.sub("", text).strip() == "":
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds is None or not 0 <= seconds <= _LONGEST_SECONDS:
        raise ValueError("is no duration; write seconds or a unit, as in 30, 30s, 5m or 1h")
    return timedelta(seconds=seconds)


def show_duration(duration: timedelta) -> str:
    """The shortest way to write a duration: `90s`, `5m`, `1h`."""
    seconds = duration.total_seconds()
    for unit in ("h", "m"):
        if seconds >= _UNITS[unit] and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:g}{unit}"
    return f"{seconds:g}s"


def change_policy(base: Policy, changes: Mapping[str, object]) -> Policy:
    """A policy with some fields as written in TOML, in a variable or on the command line.

    Args:
        base: where all other fields come from.
        changes: by the policy's names, without `_seconds`.

    Raises:
        PolicyError: a value that cannot be read, or fields that contradict each other.
    """
    parsed = {name: _parse(name, value) for name, value in changes.items()}
    policy = replace(base, **parsed)
    _check(policy)
    return policy


def _parse(name: str, value: object) -> Any:
    default = getattr(DEFAULTS, name)
    try:
        if isinstance(default, timedelta):
            return parse_duration(value)
        if isinstance(default, Failback):
            return Failback(str(value).strip().lower())
        return _parse_number(value, whole=isinstance(default, int))
    except ValueError as error:
        reason = f"is none of {', '.join(Failback)}" if isinstance(default, Failback) else str(error)
        raise PolicyError(reason, name) from None


def _parse_number(value: object, *, whole: bool) -> float:
    reason = "is no whole number; write one, as in 3" if whole else "is no number; write one, as in 0.25"
    accepted = (int, str) if whole else (int, float, str)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise ValueError(reason)  # noqa: TRY004  # whoever wrote it sees one kind of fault
    try:
        number = int(value) if whole else float(value)
    except (ValueError, OverflowError):
        raise ValueError(reason) from None
    if not math.isfinite(number):
        raise ValueError(reason)
    return number


def _check(policy: Policy) -> None:
    for name in NAMES:
        value = getattr(policy, name)
        if (
            isinstance(value, timedelta)
            and name.endswith(("interval", "timeout", "timeout_loading"))
            and not value
        ):
            raise PolicyError("must be longer than 0", name)
    for name in _AT_LEAST_ONE:
        if getattr(policy, name) < 1:
            raise PolicyError("must be 1 or more", name)
    if policy.window_failures > policy.window:
        raise PolicyError(
            f"{policy.window_failures} failures never fit into a window of {policy.window}; "
            "lower window_failures or raise window",
            "window_failures",
            "window",
        )
    if not 0 <= policy.jitter < 0.5:
        raise PolicyError("must be at least 0 and below 0.5", "jitter")
    for name in ("report_fall", "report_window"):
        if getattr(policy, name) > MOST_KEPT:
            raise PolicyError(f"no more than {MOST_KEPT} reports are kept; lower it", name)
    if not 0 < policy.report_share <= 1:
        raise PolicyError("must be above 0 and at most 1, as in 0.5", "report_share")
    if policy.slow_factor < 1:
        raise PolicyError("must be 1 or more", "slow_factor")
    if policy.daily_cost_usd < 0:
        raise PolicyError("must be 0 or more", "daily_cost_usd")
    if policy.switch_limit < 1:
        raise PolicyError("must be 1 or more", "switch_limit")
    for small, large in _NOT_LONGER:
        if getattr(policy, small) > getattr(policy, large):
            raise PolicyError(_contradiction(policy, small, large), small, large)


def _contradiction(policy: Policy, small: str, large: str) -> str:
    one, other = show_duration(getattr(policy, small)), show_duration(getattr(policy, large))
    return f"{small} ({one}) must not be longer than {large} ({other}); change one of them"
