"""Many rows, with pauses: the event loop belongs to others too."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

AT_ONCE = 100
"""So many are read without a pause, a few milliseconds."""

T = TypeVar("T")


async def paced(rows: Iterable[T]) -> AsyncIterator[T]:
    """Each row in turn; now and then the event loop does something else first."""
    for number, row in enumerate(rows, start=1):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        yield row
