"""Whether a purpose is served, as far as its last deep probe tells."""

from datetime import datetime

from monitor.domain.health import Health
from monitor.domain.outcome import Vote


def answers(health: Health, now: datetime) -> bool | None:
    """Whether the last deep probe was a usable answer; None when nobody knows.

    Args:
        health: of the one that serves. Nobody knows before its first result, after one that says nothing of
            what a request would get (busy, limited, still starting), and when no result has come for long.
        now: UTC.
    """
    if health.last is None or health.stale_at is None or now >= health.stale_at:
        return None
    return {Vote.PASS: True, Vote.FAILURE: False, Vote.BLOCK: False}.get(health.last.counts_as)
