"""Results that wait on disk for a database that is away: off the event loop, and never a crash.

A disk that is full, read-only or damaged is said once and tried again every few seconds; until then nothing
is kept here, and whoever asked keeps it in memory. A full disk can still be read.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from monitor.domain.outcome import ProbeResult, ResultId
from monitor.storage.spool_file import NAME, Found, SpoolFile, SpoolInUse, is_corrupt

log = structlog.get_logger()

MOST_ROWS = 200_000
MOST_BYTES = 256 << 20
RETRY_SECONDS = 5.0

T = TypeVar("T")


class Spool:
    """One spool a data folder; whichever process leads has it.

    Attributes:
        works: whether the last attempt to write succeeded.
    """

    def __init__(
        self,
        folder: Path,
        on_dropped: Callable[[int], None],
        *,
        most_rows: int = MOST_ROWS,
        most_bytes: int = MOST_BYTES,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        """Nothing is touched before `open`.

        Args:
            folder: made when it does not exist.
            on_dropped: told how many results will never be stored.
            most_rows: more are dropped, the oldest first.
            most_bytes: likewise.
            retry_seconds: how soon a spool that failed is tried again.
        """
        self._folder = folder
        self._on_dropped = on_dropped
        self._most = (most_rows, most_bytes)
        self._retry_seconds = retry_seconds
        self._file: SpoolFile | None = None
        self._is_open = False
        self._thread: ThreadPoolExecutor | None = None
        self._stored: set[ResultId] = set()
        self._trouble: str | None = None
        self._quietly = False
        self._was_in_use = False
        self._tried_at: float | None = None
        self.works = False

    @property
    def waiting(self) -> int:
        """How many results wait here for this database, as far as known."""
        return max(self._file.rows - len(self._stored), 0) if self._file is not None else 0

    async def open(self, store: str, *, quietly: bool = False) -> bool:
        """Open the spool for the results of one database; later calls try again what failed.

        Args:
            store: names the database; the results of others stay where they are.
            quietly: another process may have it, or the disk may refuse: nobody needs it now.

        Returns:
            Whether it works.
        """
        if self._file is not None and self._file.store != store:
            await self.close()
        self._quietly = quietly
        if self._is_open:
            return self.works
        if self._file is None:
            self._file = SpoolFile(self._folder, store, *self._most)
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        return await self._use(lambda _: True) is not None

    async def close(self) -> None:
        """Give it up to whichever process wants it next."""
        file, thread = self._file, self._thread
        self._file, self._thread, self._is_open, self.works = None, None, False, False
        self._tried_at = None
        self._stored.clear()
        if file is not None and thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, file.close)
            thread.shutdown(wait=False)

    async def add(self, results: Sequence[ProbeResult]) -> bool:
        """Keep results; False when they are not kept, and have to wait elsewhere."""
        dropped = await self._use(lambda file: file.add(results))
        if dropped:
            self._on_dropped(dropped)
            log.warning("spool_overflow", dropped=dropped)
        return dropped is not None

    async def oldest(self, limit: int) -> list[ProbeResult]:
        """The oldest results; none when the disk does not give them."""
        stored = frozenset(self._stored)
        found: Found | None = await self._use(lambda file: file.oldest(limit, stored), writes=False)
        if found is None:
            return []
        if found.unreadable:
            log.warning("spooled_results_unreadable", count=len(found.unreadable))
            self._on_dropped(len(found.unreadable))
            await self.remove(found.unreadable)
        return found.results

    async def remove(self, ids: Sequence[ResultId]) -> None:
        """Forget results; what the disk does not let go now is skipped, and removed once it does."""
        self._stored.update(ids)
        gone = list(self._stored)
        if gone and await self._use(lambda file: file.remove(gone)) is not None:
            self._stored.difference_update(gone)

    async def _use(self, work: Callable[[SpoolFile], T], *, writes: bool = True) -> T | None:
        """Do something with the file in its thread; None when that is not possible now."""
        file, thread = self._file, self._thread
        if file is None or thread is None:
            return None
        tried = self._tried_at is not None and time.monotonic() - self._tried_at < self._retry_seconds
        if tried and not self.works and (writes or not self._is_open):
            return None
        loop = asyncio.get_running_loop()
        try:
            done = await loop.run_in_executor(thread, self._work, file, work)
        except (sqlite3.Error, OSError, SpoolInUse) as error:
            self.works, self._tried_at = False, time.monotonic()
            self._say(error)
            return None
        if writes:
            if self._trouble is not None:
                log.info("spool_works_again", waiting=file.rows)
            self.works, self._trouble, self._was_in_use = True, None, False
        return done

    def _work(self, file: SpoolFile, work: Callable[[SpoolFile], T]) -> T:
        # In the thread.
        try:
            return self._attempt(file, work)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            known = file.rows
            aside = file.set_aside()
            why = str(error)
            log.warning("spool_corrupt", reason=why, moved_to=str(aside), lost=known or "unknown")
            self._on_dropped(known)
            return self._attempt(file, work)

    def _attempt(self, file: SpoolFile, work: Callable[[SpoolFile], T]) -> T:
        try:
            if not self._is_open:
                file.open()
                self._is_open = True
            return work(file)
        except BaseException as error:
            # Opened anew after any trouble that reading shares: what SQLite still believes may be wrong.
            if is_corrupt(error) or not file.reads():
                self._is_open = False
                file.shut()
            raise

    def _say(self, error: Exception) -> None:
        if isinstance(error, SpoolInUse):
            if not self._was_in_use:
                # A daemon that stands by looks for remains of its own, and is gone in a moment.
                self._was_in_use = True
                return
            trouble, mend = "another process uses it", "give each daemon a folder of its own"
        else:
            trouble = getattr(error, "strerror", None) or str(error)
            mend = "free space, mend its mode, or name another folder"
        if trouble != self._trouble and not self._quietly:
            self._trouble = trouble
            log.warning(
                "spool_unavailable",
                file=str(self._folder / NAME),
                reason=trouble,
                mend=f"{mend} in MONITOR_DATA_DIR; until then what can't be stored waits in memory only",
            )
