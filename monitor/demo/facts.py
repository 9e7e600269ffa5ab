"""What the database says happened; the story is told from this alone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from typing import Any, Protocol

from monitor.demo.server import MODEL, DemoServer
from monitor.storage.address import Address, connect
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.listener import Listener
from monitor.storage.purposes import ACTIVE_CHANNEL
from monitor.storage.queries import read_queries

LOOK_SECONDS = 0.4

_QUERIES = dict(
    read_queries(resources.files("monitor.demo").joinpath("demo.sql").read_text(encoding="utf-8"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One deep probe, as it stands in `monitor.results`."""

    name: str
    outcome: str
    http_status: int | None
    latency_seconds: float | None
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What `monitor.healths` says of a server."""

    state: str
    eligible: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One move, as it stands in `monitor.transitions`."""

    id: int
    generation: int
    rule: str
    from_name: str | None
    to_name: str | None
    reason: str
    failure_began_at: datetime | None
    committed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Where the story begins.

    Attributes:
        told: the newest move before it.
        begun_at: by the database's clock.
    """

    told: int
    begun_at: datetime


class Narrator(Protocol):
    """Tells what was found; in the order in which it happened."""

    def probed(self, probe: Probe) -> None:
        """One more probe has come back."""

    def believes(self, name: str, belief: Belief, before: Belief | None) -> None:
        """A belief has changed."""

    def moved(self, transition: Transition) -> None:
        """The purpose was moved."""

    def stranded(self, nobody_serves: bool) -> None:
        """The one that serves is unfit and nobody else is fit; or that is over."""

    def lost_sight(self) -> None:
        """The database does not answer for the moment."""


@dataclass(slots=True)
class Facts:
    """The newest state; whoever waits for one is woken when it changes.

    Attributes:
        serving: the name of what serves chat, from `active_providers`.
        beliefs: by name.
    """

    serving: str | None = None
    beliefs: dict[str, Belief] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, holds: Callable[["Facts"], bool], seconds: float) -> bool:
        """Wait until something holds; False when it does not within this time."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: holds(self))
        except TimeoutError:
            return False
        return True

    async def tell(self) -> None:
        """Wake whoever waits."""
        async with self._changed:
            self._changed.notify_all()


async def put_rows(connection: Any, primary: DemoServer, fallback: DemoServer) -> None:
    """Write the demo's rows as an application would: two servers, and who serves chat."""
    async with connection.transaction():
        ids = [
            await connection.fetchval(_QUERIES["put_server"], server.name, server.url, MODEL)
            for server in (primary, fallback)
        ]
        await connection.execute(_QUERIES["put_active"], *ids)


async def begin_story(connection: Any) -> Beginning:
    """Where the story begins: what happened before is not told."""
    return Beginning(**await connection.fetchrow(_QUERIES["begin_story"]))


async def watch(address: Address, since: Beginning, facts: Facts, narrator: Narrator) -> None:
    """Read the facts as they come, until cancelled; a database that is away is waited for.

    Args:
        address: the demo's database.
        since: what happened before is not told.
        facts: kept up to date.
        narrator: is told everything new.
    """
    reader = _Reader(since, facts, narrator)
    heard = asyncio.Event()
    listener = Listener(address, [ACTIVE_CHANNEL], lambda *_: heard.set(), heard.set)
    listens = asyncio.create_task(listener.run(), name="demo listener")
    try:
        while True:
            try:
                connection = await connect(address)
                try:
                    while True:
                        await reader.read(connection)
                        await _pause(heard)
                finally:
                    connection.terminate()
            except STORE_ERRORS:
                narrator.lost_sight()
                await asyncio.sleep(1)
    finally:
        listens.cancel()
        await asyncio.gather(listens, return_exceptions=True)


async def _pause(heard: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await heard.wait()
    except TimeoutError:
        return
    heard.clear()


class _Reader:
    def __init__(self, since: Beginning, facts: Facts, narrator: Narrator) -> None:
        self._told = since.told
        self._begun_at = since.begun_at
        self._facts = facts
        self._narrator = narrator
        self._probed: dict[str, datetime] = {}
        self._stranded = False

    async def read(self, connection: Any) -> None:
        transitions = [
            Transition(**row) for row in await connection.fetch(_QUERIES["read_transitions"], self._told)
        ]
        probes = [Probe(**row) for row in await connection.fetch(_QUERIES["read_probes"], self._begun_at)]
        beliefs = {
            row["name"]: Belief(state=row["state"], eligible=row["eligible"])
            for row in await connection.fetch(_QUERIES["read_beliefs"], self._begun_at)
        }
        serving = await connection.fetchrow(_QUERIES["read_serving"])
        # A move is stored with the probes and the beliefs it rests on: what led to it is told before it.
        for probe in probes:
            before = self._probed.get(probe.name)
            if before is None or probe.started_at > before:
                self._probed[probe.name] = probe.started_at
                self._narrator.probed(probe)
        for name, belief in beliefs.items():
            old = self._facts.beliefs.get(name)
            self._facts.beliefs[name] = belief
            if old != belief:
                self._narrator.believes(name, belief, old)
        stranded = serving is not None and serving["stranded"]
        if stranded != self._stranded:
            self._stranded = stranded
            self._narrator.stranded(stranded)
        self._facts.serving = None if serving is None else serving["name"]
        for transition in transitions:
            self._told = transition.id
            self._narrator.moved(transition)
        await self._facts.tell()
