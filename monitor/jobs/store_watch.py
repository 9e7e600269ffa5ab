"""Whether the database takes what we write: said truthfully, once a minute at most, by all jobs together."""

import time
from collections.abc import Callable

import structlog

from monitor.metrics import Metrics

log = structlog.get_logger()

SAID_SECONDS = 60.0


class StoreWatch:
    """Every job that writes tells here how that went.

    Attributes:
        failing: the last write failed; nothing is decided until one has worked again.
    """

    def __init__(self, metrics: Metrics, on_failing: Callable[[], None], on_back: Callable[[], None]) -> None:
        """Begin in good faith.

        Args:
            metrics: told about `store_up`.
            on_failing: called when the first write fails: without a record nothing is decided.
            on_back: called when a write works again: whoever decides wants fresh evidence then.
        """
        self._metrics = metrics
        self._on_failing = on_failing
        self._on_back = on_back
        self._since = 0.0
        self._said_at = -SAID_SECONDS
        self.failing = False

    def failed(self, error: BaseException, during: str) -> None:
        """A write failed.

        Args:
            error: why; its text may hold values, so only its kind is told.
            during: what for, one snake_case word.
        """
        now = time.monotonic()
        self._metrics.set_store_up(False)
        if not self.failing:
            self.failing, self._since = True, now
            self._on_failing()
        if now - self._said_at >= SAID_SECONDS:
            self._said_at = now
            seconds = round(now - self._since, 1)
            log.warning("store_failing", during=during, error=type(error).__name__, seconds=seconds)

    def stalled(self) -> None:
        """A write has been under way for long; it may succeed yet."""
        self._metrics.set_store_up(False)

    def worked(self) -> None:
        """A write has been committed."""
        self._metrics.set_store_up(True)
        if self.failing:
            self.failing = False
            log.info("store_works_again", seconds=round(time.monotonic() - self._since, 1))
            self._on_back()
