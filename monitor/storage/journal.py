"""The journal of decisions as rows, and what a replay reads beside it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from monitor.domain.journal import WHOLE, Entry, EntryKind
from monitor.domain.outcome import ProbeResult
from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.address import execute_each
from monitor.storage.queries import QUERIES
from monitor.storage.results import read_result

ENTRY = TypeAdapter(Entry)


async def add_entries(connection: Any, entries: Iterable[tuple[Purpose, Entry]], instance: str) -> None:
    """Write entries in their order, within the caller's transaction if there is one."""
    rows = [
        (
            str(purpose),
            entry.at,
            str(entry.kind),
            instance,
            ENTRY.dump_python(entry, mode="json", exclude={"at", "kind"}, exclude_defaults=True),
        )
        for purpose, entry in entries
    ]
    await execute_each(connection, QUERIES["add_journal"], rows)


async def load_entries(connection: Any, purpose: Purpose, since: datetime) -> list[Entry]:
    """A purpose's journal from the last whole entry not after `since` on; empty when there is none at all.

    Raises:
        ValidationError: a later version wrote it.
    """
    start = await connection.fetchval(
        QUERIES["journal_start"], str(purpose), since, [str(kind) for kind in WHOLE]
    )
    if start is None:
        return []
    return [_entry(row) for row in await connection.fetch(QUERIES["load_journal"], str(purpose), start)]


async def load_kinds(
    connection: Any, purpose: Purpose, since: datetime, kinds: Iterable[EntryKind]
) -> list[Entry]:
    """A purpose's entries of some kinds."""
    rows = await connection.fetch(
        QUERIES["load_journal_kinds"], str(purpose), since, [str(kind) for kind in kinds]
    )
    return [_entry(row) for row in rows]


async def load_judged(
    connection: Any, purpose: Purpose, refs: Sequence[ProviderRef], after: datetime, until: datetime
) -> list[ProbeResult]:
    """The deep results of some providers in a purpose, in the order in which they were judged."""
    rows = await connection.fetch(
        QUERIES["replayed_results"],
        str(purpose),
        [str(ref.type) for ref in refs],
        [ref.id for ref in refs],
        after,
        until,
    )
    return [read_result(row) for row in rows]


async def prune_journal(connection: Any, before: datetime) -> None:
    """Drop what is older."""
    await connection.execute(QUERIES["prune_journal"], before)


def _entry(row: Any) -> Entry:
    return ENTRY.validate_python({**row["detail"], "at": row["at"], "kind": row["kind"]})
