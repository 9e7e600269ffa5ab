"""What probing may cost: the interval stretches so that a day's limit lasts until its end."""

from datetime import UTC, datetime, time, timedelta

LONGEST = timedelta(seconds=300)


def day_start(now: datetime) -> datetime:
    """The UTC midnight before `now`."""
    return datetime.combine(now.astimezone(UTC).date(), time(), tzinfo=UTC)


def stretch(
    interval: timedelta, *, spent_usd: float, round_usd: float, limit_usd: float, now: datetime
) -> timedelta:
    """The interval at which the rest of the day fits into the rest of the limit.

    Args:
        interval: what is wanted.
        spent_usd: spent on the provider since midnight UTC.
        round_usd: what one probe of each of its targets costs; 0 when nothing is known to cost.
        limit_usd: the provider's daily limit.
        now: UTC.

    Returns:
        The interval, or a longer one, at most 300 s: a provider that serves is never left unwatched.
    """
    if round_usd <= 0 or interval >= LONGEST:
        return interval
    left_usd = limit_usd - spent_usd
    left_seconds = (day_start(now) + timedelta(days=1) - now).total_seconds()
    if left_usd <= 0:
        return LONGEST
    # Compared as a number first: a rest that is mere rounding asks for more seconds than a timedelta holds.
    affordable_seconds = left_seconds * round_usd / left_usd
    if affordable_seconds >= LONGEST.total_seconds():
        return LONGEST
    return max(interval, timedelta(seconds=affordable_seconds))
