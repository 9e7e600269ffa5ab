"""Keeps what was rendered for a second, for everybody who asks for the same; renders off the event loop."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from monitor.web.collector import CollectorRest

KEPT_SECONDS = 1.0
GAP_SECONDS = 0.25
"""News come in swarms: a page is not made anew more often than this."""

MOST_KEPT = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Made(Generic[T]):
    began_at: float
    news: int
    making: asyncio.Future[T]


class Pages:
    """One for an application.

    The thread is its own: name resolution uses the event loop's, and a DNS server that hangs must not take
    the page along.
    """

    def __init__(self, news: Callable[[], int]) -> None:
        """Nothing is kept yet.

        Args:
            news: counts what was heard; a page that was begun before the last news is not given again.
        """
        self._news = news
        self._collector = CollectorRest()
        self._made: OrderedDict[Hashable, _Made[Any]] = OrderedDict()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="page")

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]], *, anew: bool = False) -> T:
        """What is asked for, made within the last second and after the last news.

        Args:
            key: the same for the same.
            make: makes it.
            anew: made from now on, whatever is kept.
        """
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        while True:
            made = self._made.get(key)
            now = loop.time()
            if made is None or now - made.began_at >= KEPT_SECONDS:
                break
            if made.news == self._news() and not (anew and made.began_at < asked_at):
                kept: T = await self._wait(key, made)
                return kept
            if now - made.began_at >= GAP_SECONDS and made.making.done():
                break
            # Whoever waits here together finds what the first of them begins.
            await asyncio.sleep(max(made.began_at + GAP_SECONDS - now, 0.01))
        begun: _Made[T] = _Made(now, self._news(), asyncio.ensure_future(self.make(make)))
        self._made[key] = begun
        self._made.move_to_end(key)
        if len(self._made) > MOST_KEPT:
            self._made.popitem(last=False)
        loop.call_later(KEPT_SECONDS, self._forget, key, begun)
        fresh: T = await self._wait(key, begun)
        return fresh

    async def make(self, make: Callable[[], Awaitable[T]]) -> T:
        """Make something large that nobody keeps for long."""
        with self._collector.rest():
            return await make()

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Do what takes long off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _wait(self, key: Hashable, made: _Made[Any]) -> Any:
        # Shielded, because others may wait for the same page when this reader leaves.
        try:
            return await asyncio.shield(made.making)
        except Exception:
            self._forget(key, made)
            raise

    def _forget(self, key: Hashable, made: _Made[Any]) -> None:
        if self._made.get(key) is made:
            del self._made[key]
