"""Uptime by time: which minutes a target was up, was down, or nothing is known of.

Share of time, not share of probes: trouble is looked at every 10 s, a standby every 300 s. A minute's word is

- **down** when a deep probe that began in it failed or was refused, whatever others in it showed;
- **up** when one passed and none failed;
- the word of the last minute that had one, as long as that one holds: as long as a belief does, three
  intervals and a probe's timeout, in whole minutes and, within an hour, of its probe that holds longest;
- **unknown** after that: no data is never up. What says nothing of service (busy, limited) is no word.

What holds on after a minute with both is up: whoever has failed is looked at again every few seconds, so
only one that passed last is left alone for long.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.domain.outcome import VOTES, Outcome, Vote

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
MINUTES = 60
SPANS = {
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
}
"""Over which uptime is told; each ends now."""
REACH_UNTOLD = 15
"""Minutes that a result holds which does not say: three intervals of a standby."""
REACH_MOST = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptime:
    """How somebody fared over a span, or over several together.

    Attributes:
        up: the time in which it was up.
        down: the time in which it was down.
        unknown: the time of which nothing is known.
        passed: deep probes that passed.
        failed: those that failed or were refused; what says nothing of service is left out.
    """

    up: timedelta = timedelta(0)
    down: timedelta = timedelta(0)
    unknown: timedelta = timedelta(0)
    passed: int = 0
    failed: int = 0

    @property
    def known(self) -> timedelta:
        """The time of which something is known."""
        return self.up + self.down

    @property
    def share(self) -> float | None:
        """The share of the known time in which it was up; None when nothing is known."""
        return self.up / self.known if self.known else None

    def __add__(self, other: "Uptime") -> "Uptime":
        return Uptime(
            up=self.up + other.up,
            down=self.down + other.down,
            unknown=self.unknown + other.unknown,
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What deep probes showed within an hour: minutes as the bits of a mask, the first minute the lowest.

    Attributes:
        passed: the minutes in which one passed.
        failed: the minutes in which one failed.
        reach: for how many minutes a word of this hour holds.
    """

    passed: int = 0
    failed: int = 0
    reach: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """An hour's minutes.

    Attributes:
        up: the minutes that were up.
        down: the minutes that were down.
        carried: for how many minutes the last word holds on after this hour: above 0 up, below 0 down.
    """

    up: int = 0
    down: int = 0
    carried: int = 0


def fold(marks: Marks, carried: int, minutes: int) -> Folded:
    """What an hour's minutes were.

    Args:
        marks: of the hour.
        carried: what the hour before hands on, as `Folded.carried` says it.
        minutes: how many of its minutes have begun; nothing is said of the others, nor of what comes after.
    """
    up = down = 0
    holds = carried
    for minute in range(minutes):
        bit = 1 << minute
        if (marks.passed | marks.failed) & bit:
            is_up = bool(marks.passed & bit)
            holds = marks.reach if is_up else -marks.reach
            if marks.failed & bit:
                down |= bit
            else:
                up |= bit
        elif holds > 0:
            up |= bit
            holds -= 1
        elif holds < 0:
            down |= bit
            holds += 1
    return Folded(up=up, down=down, carried=holds if minutes == MINUTES else 0)


def minutes_begun(hour: datetime, now: datetime) -> int:
    """How many minutes of an hour have begun, 0 to 60."""
    if now < hour:
        return 0
    return min((now - hour) // MINUTE + 1, MINUTES)


def reach_minutes(reach_seconds: float | None) -> int:
    """For how many minutes a result's word holds; one that does not say gets a standby's."""
    if reach_seconds is None:
        return REACH_UNTOLD
    return int(max(0.0, min(reach_seconds / 60, REACH_MOST)))


def says(outcome: Outcome) -> bool | None:
    """Whether an outcome shows service (True), shows that there is none (False), or says nothing of it."""
    vote = VOTES[outcome]
    if vote is Vote.PASS:
        return True
    return False if vote in (Vote.FAILURE, Vote.BLOCK) else None
