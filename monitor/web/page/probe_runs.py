"""Probes that somebody has asked for on the page: they run by themselves, and are told when they end."""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from monitor.domain.provider import ProviderRef, Purpose
from monitor.integration.probes import Tested
from monitor.storage.errors import STORE_ERRORS
from monitor.web.page.said import Line
from monitor.web.sessions import Session

MOST_RUNNING = 8
MOST_KEPT = 200


class TooManyProbes(Exception):
    """As many run already as may."""


@dataclass(slots=True, kw_only=True)
class ProbeRun:
    """One probe.

    Attributes:
        id: random; who does not know it does not see it.
        owners: the logins that asked for it.
        what: which provider, and for what, for a person.
        back: the page that it was asked for on.
        began: of the loop's clock.
        task: what runs.
    """

    id: str
    owners: set[str] = field(repr=False)
    what: str
    back: str
    began: float
    task: "asyncio.Task[Line]" = field(repr=False)

    async def wait(self, seconds: float) -> Line | None:
        """What it showed; None when it goes on for longer."""
        done, _ = await asyncio.wait({self.task}, timeout=seconds)
        return self.task.result() if done and not self.task.cancelled() else None

    @property
    def seconds(self) -> int:
        """For how long it has been running."""
        return int(asyncio.get_running_loop().time() - self.began)


class ProbeRuns:
    """The probes that run, and the last ones that did."""

    def __init__(self) -> None:
        """None runs."""
        self._runs: OrderedDict[str, ProbeRun] = OrderedDict()
        self._now: dict[tuple[ProviderRef, Purpose | None], ProbeRun] = {}

    def start(
        self,
        session: Session,
        ref: ProviderRef,
        purpose: Purpose | None,
        what: str,
        back: str,
        probe: Callable[[], Coroutine[Any, Any, Tested]],
    ) -> ProbeRun:
        """Begin one; while the same one runs it is that one.

        Raises:
            TooManyProbes: wait for another one.
        """
        running = self._now.get((ref, purpose))
        if running is not None:
            running.owners.add(session.csrf)
            return running
        if len(self._now) >= MOST_RUNNING:
            raise TooManyProbes
        task = asyncio.create_task(_told(what, probe), name=f"asked probe of {ref}")
        began = asyncio.get_running_loop().time()
        run = ProbeRun(
            id=secrets.token_urlsafe(16), owners={session.csrf}, what=what, back=back, began=began, task=task
        )
        self._runs[run.id] = self._now[ref, purpose] = run
        task.add_done_callback(lambda _: self._now.pop((ref, purpose), None))
        while len(self._runs) > MOST_KEPT:
            self._runs.popitem(last=False)
        return run

    def find(self, session: Session, id_: str) -> ProbeRun | None:
        """One that this login has asked for."""
        run = self._runs.get(id_)
        return run if run is not None and session.csrf in run.owners else None

    async def close(self) -> None:
        """End those that run."""
        tasks = [run.task for run in self._now.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _told(what: str, probe: Callable[[], Coroutine[Any, Any, Tested]]) -> Line:
    try:
        tested = await probe()
    except STORE_ERRORS:
        return Line(
            f"{what}: the database is away, and without it nobody can be probed. Try again soon.", is_bad=True
        )
    text = f"{what} at {tested.at:%H:%M:%S} UTC: {tested.message}"
    return Line(text if text.endswith(".") else f"{text}.", is_bad=not tested.success)
