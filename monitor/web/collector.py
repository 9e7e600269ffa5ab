"""Lets Python's collector of cycles rest while something large and short-lived is made."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

MOST_SECONDS = 0.5
"""Probes leave cycles behind all the while: whatever takes longer is collected in between."""


class CollectorRest:
    """One for a daemon.

    A look at a thousand providers makes tens of thousands of objects, without cycles and gone with the
    answer. The collector takes them for what stays, and walks through everything in the middle of it.
    """

    def __init__(self) -> None:
        """It works."""
        self._resting = 0
        self._work: asyncio.TimerHandle | None = None

    @contextmanager
    def rest(self) -> Iterator[None]:
        """It rests until the last of those who wanted it are done, or until it has rested long enough."""
        if self._work is None:
            self._work = asyncio.get_running_loop().call_later(MOST_SECONDS, gc.enable)
            gc.disable()
        self._resting += 1
        try:
            yield
        finally:
            self._resting -= 1
            if not self._resting:
                self._work.cancel()
                self._work = None
                gc.enable()
