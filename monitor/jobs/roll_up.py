"""Sum what has arrived by the hour and the day, and make the minutes up and down of the hours it touches."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from monitor.storage.arrivals import ARRIVALS_AT_ONCE, FIRST, Retention, make_minutes, take_arrivals
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.leader import LeaderSession

log = structlog.get_logger()

EVERY_SECONDS = 10.0
PAUSE_SECONDS = 0.05
"""Between two transactions, of which others of the session take as many as they want."""


class RollUp:
    """Every few seconds, in transactions of some milliseconds; what is left undone stands in the database.

    Attributes:
        keep: how long sums are kept: what is older changes nothing any more.
    """

    def __init__(self, keep: Retention, now: Callable[[], datetime]) -> None:
        self.keep = keep
        self._now = now
        self._failing = False

    async def run(self, session: LeaderSession) -> None:
        """Roll up until the session ends."""
        while not session.lost.is_set():
            try:
                await self.roll_up(session)
            except STORE_ERRORS as error:
                if not self._failing:
                    log.warning("results_not_summed", error=type(error).__name__)
                self._failing = True
            else:
                self._failing = False
            await asyncio.sleep(EVERY_SECONDS)

    async def roll_up(self, session: LeaderSession) -> None:
        """Do all that there is to do.

        Raises:
            STORE_ERRORS: the database did not answer; the next time does it.
        """
        more = True
        while more:
            async with session.use() as connection:
                taken = await take_arrivals(connection, self._now(), self.keep)
            more = taken == ARRIVALS_AT_ONCE
            # However much there is to sum, what lasts is shown as it is now.
            if not more:
                more = await self._make(session)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _make(self, session: LeaderSession) -> bool:
        place, again = FIRST, False
        while True:
            async with session.use() as connection:
                made = await make_minutes(connection, self._now(), place)
            again |= made.again
            if made.last is None:
                return again
            place = made.last
            await asyncio.sleep(PAUSE_SECONDS)
