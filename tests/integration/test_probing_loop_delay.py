"""How late our own event loop was: neither one long stop nor many short ones may be blamed on a provider."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from monitor.probing.loop_delay import NOTICED_SECONDS, PERIOD_SECONDS, LoopDelay


@pytest.fixture
async def delay() -> AsyncIterator[LoopDelay]:
    delay = LoopDelay()
    delay.start()
    await asyncio.sleep(0)  # the sampler takes its first look
    yield delay
    await delay.stop()


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.alone
async def test_a_free_loop_is_not_late(delay: LoopDelay) -> None:
    began = now()
    await asyncio.sleep(PERIOD_SECONDS * 2)
    assert delay.late_since(began) < PERIOD_SECONDS


async def test_a_stop_counts_before_the_sampler_comes_to_its_turn(delay: LoopDelay) -> None:
    began = now()
    time.sleep(0.4)  # noqa: ASYNC251 - the stop
    assert 0.25 <= delay.late_since(began) <= now() - began


async def test_many_short_stops_add_up(delay: LoopDelay) -> None:
    began = now()
    for _ in range(4):
        time.sleep(PERIOD_SECONDS + NOTICED_SECONDS * 2)  # noqa: ASYNC251 - the stop
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert delay.late_since(began) >= NOTICED_SECONDS * 2 * 3


async def test_what_was_late_before_a_probe_is_not_counted_for_it(delay: LoopDelay) -> None:
    time.sleep(0.4)  # noqa: ASYNC251 - the stop
    began = now()
    assert delay.late_since(began) <= now() - began
    await asyncio.sleep(PERIOD_SECONDS / 2)
    assert delay.late_since(began) <= now() - began
