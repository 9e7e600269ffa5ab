"""The clock by which the daemon dates what it believes, decides and records."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """The database's clock at the first connection plus our monotonic clock since: no step moves it."""

    def __init__(self) -> None:
        self._anchor = datetime.now(UTC)
        self._anchored_at = time.monotonic()

    def now(self) -> datetime:
        """UTC."""
        return self._anchor + timedelta(seconds=time.monotonic() - self._anchored_at)

    def anchor(self, now: datetime) -> None:
        """Take over another clock's time."""
        self._anchor, self._anchored_at = now, time.monotonic()
