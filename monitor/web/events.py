"""News for pages that stay open: Server-Sent Events to a bounded number of listeners."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

MOST_LISTENERS = 64
MOST_WAITING = 100
HEARTBEAT_SECONDS = 15.0


class Event(NamedTuple):
    """One piece of news.

    Attributes:
        name: `active`, `health`, `configuration`, or `resync` when some may have been missed.
        data: JSON.
    """

    name: str
    data: str

    def encode(self) -> bytes:
        """As it travels; JSON has no line ends."""
        return f"event: {self.name}\ndata: {self.data}\n\n".encode()


RESYNC = Event("resync", "{}")


class _Listening:
    """One listener; what comes faster than it is read ends in a `resync`."""

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque()
        self._heard = asyncio.Event()
        self._ended = False

    def put(self, event: Event) -> None:
        """Another event."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            event = RESYNC
        self._waiting.append(event)
        self._heard.set()

    def wake(self) -> None:
        """Look whether this listener may go on."""
        self._heard.set()

    def end(self) -> None:
        """No more events."""
        self._ended = True
        self._heard.set()

    async def read(self, may_go_on: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        """Events, and a comment now and then, for as long as the listener may listen."""
        yield RESYNC.encode()  # the listener reads everything once it listens, and misses nothing in between
        while not self._ended:
            quiet = False
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._heard.wait()
            except TimeoutError:
                quiet = True
            self._heard.clear()  # before anybody is asked: what is said meanwhile is heard the next time
            if self._ended or not await may_go_on():
                return
            if quiet and not self._waiting:
                yield b": still here\n\n"
            while self._waiting:
                yield self._waiting.popleft().encode()


class Events:
    """All listeners.

    Attributes:
        count: how much was told so far, to however few.
    """

    def __init__(self) -> None:
        self.count = 0
        self._listeners: set[_Listening] = set()
        self._ended = False

    def __len__(self) -> int:
        return len(self._listeners)

    @property
    def full(self) -> bool:
        """Whether as many listen as may."""
        return len(self._listeners) >= MOST_LISTENERS

    async def tell(self, may_go_on: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        """What one listener is sent, until it leaves, may no longer listen, or the daemon ends.

        Args:
            may_go_on: asked before anything is sent.
        """
        if self.full or self._ended:
            return
        listening = _Listening()
        self._listeners.add(listening)
        try:
            async for piece in listening.read(may_go_on):
                yield piece
        finally:
            self._listeners.discard(listening)

    def publish(self, name: str, payload: str) -> None:
        """Tell everybody.

        Args:
            name: the event's.
            payload: of the notification, JSON or a word.
        """
        event = Event(name, _as_json(payload))
        self.count += 1
        for one in self._listeners:
            one.put(event)

    def resync(self) -> None:
        """Some news may have been missed."""
        self.count += 1
        for one in self._listeners:
            one.put(RESYNC)

    def wake(self) -> None:
        """Somebody's token has changed: each listener looks whether it may go on."""
        for one in self._listeners:
            one.wake()

    def end(self) -> None:
        """The daemon ends: so do all listeners, and those to come."""
        self._ended = True
        for one in self._listeners:
            one.end()


def _as_json(payload: str) -> str:
    """One line of JSON, whatever somebody notified."""
    try:
        return json.dumps(json.loads(payload))
    except ValueError:
        return json.dumps({"what": payload})
