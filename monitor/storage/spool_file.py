"""The file in which results wait for a database that is away. Blocking: for one thread of its own.

It survives the death of this process at any moment, and with `synchronous = FULL` that of the machine. One
process at a time: a lock beside it, which the kernel gives up with its owner. Each row says to which database
it belongs, so that a folder which is used with another one some day mixes nothing.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from monitor.domain.outcome import ProbeResult, ResultId
from monitor.storage.queries import QUERIES

NAME = "spool.sqlite3"
ROW_BYTES = 100  # what a row costs besides its body, about
_RESULT = TypeAdapter(ProbeResult)
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class SpoolInUse(Exception):
    """Another process holds the spool of this folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Rows that were read.

    Attributes:
        results: oldest first.
        unreadable: ids of rows that are no results of this version.
    """

    results: list[ProbeResult]
    unreadable: list[ResultId]


class SpoolFile:
    """The open file; every method raises sqlite3.Error or OSError when the disk does not do its part.

    Attributes:
        store: names this database.
        rows: that belong to it.
    """

    def __init__(self, folder: Path, store: str, most_rows: int, most_bytes: int) -> None:
        self._path = folder / NAME
        self.store = store
        self._most_rows = most_rows
        self._most_bytes = most_bytes
        self._lock: int | None = None
        self._database: sqlite3.Connection | None = None
        self._all_rows = 0
        self._bytes = 0
        self.rows = 0

    def open(self) -> Self:
        """Take the lock and open the file, a new one if there is none.

        Raises:
            SpoolInUse: another process has it.
        """
        if self._lock is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _take_lock(self._path.with_suffix(".lock"))
        # Made by us, not by SQLite: its journals take over the mode of the file.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._database = sqlite3.connect(self._path, timeout=0.2, isolation_level=None)
        for pragma in (
            "auto_vacuum = FULL",  # first: it holds for a file that is still empty
            "journal_mode = WAL",
            "synchronous = FULL",
            f"journal_size_limit = {1 << 20}",
        ):
            self._database.execute(f"PRAGMA {pragma}")
        if (said := self._database.execute("PRAGMA quick_check(1)").fetchone()) != ("ok",):
            error = sqlite3.DatabaseError(f"the file is damaged: {said[0]}")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        self._database.execute(QUERIES["spool_create"])
        self._all_rows, self._bytes = self._database.execute(QUERIES["spool_size"]).fetchone()
        (self.rows,) = self._database.execute(QUERIES["spool_count"], (self.store,)).fetchone()
        return self

    def reads(self) -> bool:
        """Whether what lies here can be read, whatever became of a write: a full disk can be."""
        if self._database is None:
            return False
        try:
            self._database.execute(QUERIES["spool_oldest"], (self.store, 1)).fetchone()
        except sqlite3.Error:
            return False
        return True

    def shut(self) -> None:
        """Close the file and keep the lock."""
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()

    def close(self) -> None:
        """Close the file and give up the lock."""
        self.shut()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def set_aside(self) -> Path:
        """Keep a damaged file for whoever wants to look at it, and make room for a new one."""
        self.shut()
        aside = self._path.with_suffix(".corrupt")
        for ending in ("-wal", "-shm"):
            self._path.with_name(NAME + ending).unlink(missing_ok=True)
        self._path.replace(aside)
        self._all_rows = self._bytes = self.rows = 0
        return aside

    def add(self, results: Sequence[ProbeResult]) -> int:
        """Keep results, each once; all or none of them.

        Returns:
            How many are dropped: of the oldest, to keep within the bounds, and those that can't be written.
        """
        refused = 0
        with self._transaction() as (database, sizes):
            for result in results:
                try:
                    body = _write(result)
                except (ValueError, TypeError):
                    # No JSON: it would be none for the database either, and must not hold up the others.
                    refused += 1
                    continue
                row = (result.id, self.store, body)
                if database.execute(QUERIES["spool_add"], row).rowcount == 1:
                    sizes.count(self.store, len(body), 1)
            return self._trim(database, sizes) + refused

    def oldest(self, limit: int, without: frozenset[ResultId] = frozenset()) -> Found:
        """The oldest results of this database.

        Args:
            limit: how many at most.
            without: rows that were stored and could not be removed.
        """
        found = Found(results=[], unreadable=[])
        rows = self._open().execute(QUERIES["spool_oldest"], (self.store, limit + len(without)))
        for id_, body in rows.fetchall():
            if id_ in without:
                continue
            try:
                found.results.append(_RESULT.validate_python(json.loads(body)))
            except (ValidationError, ValueError):
                found.unreadable.append(ResultId(id_))
        del found.results[limit:]
        return found

    def remove(self, ids: Sequence[ResultId]) -> int:
        """Forget results that are stored; returns how many were here."""
        before = self._all_rows
        with self._transaction() as (database, sizes):
            for id_ in ids:
                for store, length in database.execute(QUERIES["spool_find"], (id_,)).fetchall():
                    database.execute(QUERIES["spool_remove"], (id_,))
                    sizes.count(store, length, -1)
        if self._all_rows == 0:
            self._open().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return before - self._all_rows

    def _trim(self, database: sqlite3.Connection, sizes: "_Sizes") -> int:
        gone = []
        if sizes.exceed(self._most_rows, self._most_bytes):
            for id_, store, length in database.execute(QUERIES["spool_all"]):
                gone.append(id_)
                sizes.count(store, length, -1)
                if not sizes.exceed(self._most_rows, self._most_bytes):
                    break
            database.executemany(QUERIES["spool_remove"], [(id_,) for id_ in gone])
        return len(gone)

    @contextmanager
    def _transaction(self) -> Iterator[tuple[sqlite3.Connection, "_Sizes"]]:
        database = self._open()
        sizes = _Sizes(self.store, self._all_rows, self._bytes, self.rows)
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database, sizes
            database.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some errors, and refuses to do it twice.
            with suppress(sqlite3.Error):
                database.execute("ROLLBACK")
            raise
        self._all_rows, self._bytes, self.rows = sizes.all_rows, sizes.bytes, sizes.rows

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            raise RuntimeError("the spool is not open")
        return self._database


@dataclass(slots=True)
class _Sizes:
    store: str
    all_rows: int
    bytes: int
    rows: int

    def count(self, store: str, length: int, sign: int) -> None:
        self.all_rows += sign
        self.bytes += sign * length
        self.rows += sign if store == self.store else 0

    def exceed(self, most_rows: int, most_bytes: int) -> bool:
        return self.all_rows > most_rows or self.bytes + self.all_rows * ROW_BYTES > most_bytes


def is_corrupt(error: BaseException) -> bool:
    """Whether no waiting mends it: the file itself is damaged."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _CORRUPT


def _take_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SpoolInUse(f"another process holds {path}") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write(result: ProbeResult) -> str:
    # What the database does not keep either stays out; ASCII, so that any text passes.
    slim = replace(result, readings=replace(result.readings, models=None, embedding=None))
    return json.dumps(_RESULT.dump_python(slim, mode="json", warnings=False))
