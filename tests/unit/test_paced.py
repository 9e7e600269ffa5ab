"""Long loops over rows: nothing is lost, and others have their turn."""

import asyncio
from itertools import pairwise

from monitor.storage.paced import AT_ONCE, paced


async def test_every_row_comes_in_turn_and_others_run_meanwhile() -> None:
    turns: list[int] = []
    seen: list[int] = []

    async def other() -> None:
        while True:
            turns.append(len(seen))
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    async for row in paced(range(5 * AT_ONCE)):
        seen.append(row)
    running.cancel()
    assert seen == list(range(5 * AT_ONCE))
    assert len(turns) == 5
    assert max(after - before for before, after in pairwise(turns)) <= AT_ONCE
