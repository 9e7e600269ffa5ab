"""Results as history: stored whenever they come, without one bad row holding up the others, or a move."""

from collections.abc import Sequence
from typing import Any

from monitor.domain.outcome import ProbeResult
from monitor.storage.errors import REFUSED_ERRORS
from monitor.storage.queries import QUERIES
from monitor.storage.results import insert_results


async def store_history(connection: Any, results: Sequence[ProbeResult]) -> list[ProbeResult]:
    """Store results and nothing else: beliefs are newer than they are.

    Args:
        connection: in a transaction or not.
        results: in any order; those that are there already stay as they are.

    Returns:
        Those whose values the database refuses, now and at every repetition.
    """
    if not results:
        return []
    try:
        async with connection.transaction():
            await insert_results(connection, results)
    except REFUSED_ERRORS:
        if len(results) == 1:
            return list(results)
        middle = len(results) // 2
        refused = await store_history(connection, results[:middle])
        return refused + await store_history(connection, results[middle:])
    return []


async def read_store_id(connection: Any) -> str:
    """What names this database, after a dump, an upgrade or a change of its address too."""
    return str((await connection.fetchval(QUERIES["read_store_id"])).isoformat())
