"""The composition root: builds everything, starts it, stops it."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn
from uuid import uuid4

import structlog

from monitor import __version__
from monitor.clock import Clock
from monitor.domain.application_status import ApplicationStatus
from monitor.domain.catalog import Catalog
from monitor.domain.provider import Purpose
from monitor.domain.standing_line import standing_line
from monitor.doors import Doors
from monitor.keyring import Keyring
from monitor.metrics import Metrics
from monitor.reload import Reload
from monitor.service_manager import ServiceManager
from monitor.settings import Settings
from monitor.storage.address import Address
from monitor.storage.daemons import DaemonRow
from monitor.storage.embedded import EmbeddedServer
from monitor.supervision import Supervision
from monitor.tenure import Tenure
from monitor.web import Role

log = structlog.get_logger()

END_DATABASE_SECONDS = 8.0
HUNG_DATABASE_SECONDS = 0.5


def leave() -> NoReturn:
    """End the process at once; all that it started has ended, and it fared well.

    A litellm that is still being imported would hold us for seconds, and one that is there for more than one:
    Python waits for the thread, and looks through every object before it lets go.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


class Daemon:
    """One `llm-monitor run`: waits for the database, stands by or leads, until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        *,
        offer: Callable[[Any, Keyring | None], Awaitable[None]] | None = None,
        on_ready: Callable[[Address], Awaitable[None]] | None = None,
        conceal: Callable[[str], None] | None = None,
        read_settings: Callable[[], Settings] | None = None,
        on_settings: Callable[[Settings], None] | None = None,
        manager: ServiceManager | None = None,
    ) -> None:
        """Build what lives as long as the daemon.

        Args:
            settings: all of them.
            offer: called once with a connection when the schema stands, before anything is probed.
            on_ready: called once when this daemon decides.
            conceal: told of every key that is opened, so that no log ever shows it.
            read_settings: reads all settings again at SIGHUP; without it that ends the daemon.
            on_settings: told of settings that are in force from now on.
            manager: the service manager that started us.
        """
        self._settings = settings
        self._on_settings = on_settings
        self._manager = manager or ServiceManager()
        self._supervision = Supervision(self._manager, self)
        self._reload = Reload(self, read_settings) if read_settings is not None else None
        clock, metrics = Clock(), Metrics(version=__version__)
        self._embedded = (
            EmbeddedServer(settings.data_dir, group=settings.pg_group) if settings.database is None else None
        )
        self._doors = Doors(settings, self, metrics, clock.now)
        self._tenure = Tenure(
            settings,
            DaemonRow(
                instance=uuid4(),
                host=socket.gethostname(),
                pid=os.getpid(),
                version=__version__,
                role="standby",
                listen="",
                started_at=clock.now(),
            ),
            clock=clock,
            metrics=metrics,
            embedded=self._embedded,
            doors=self._doors,
            offer=offer,
            on_ready=on_ready,
            conceal=conceal,
        )
        self._stopping = asyncio.Event()

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self._settings

    def role(self) -> Role:
        """Whether it acts, or waits for the daemon that does."""
        return self._tenure.role

    def readiness(self) -> list[str]:
        """Why it is not ready; empty when it is."""
        tenure = self._tenure
        if tenure.away is not None:
            return [tenure.away]
        if tenure.role == "standby":
            return ["standby: another daemon holds the lock"]
        if tenure.work is None or not tenure.work.turns():
            return ["the schedule does not turn"]
        return []

    def purposes(self) -> Mapping[Purpose, ApplicationStatus]:
        """The health of what serves each purpose."""
        lead = self._tenure.lead
        return lead.purposes() if lead is not None else {}

    def results_waiting(self) -> int:
        """How many results wait on this daemon's disk for the database."""
        return self._tenure.results_waiting()

    def settled(self) -> bool:
        """Whether the start is over: it decides, stands by, or waits for a database that is away."""
        return self._tenure.settled

    def turns(self) -> bool:
        """Whether the schedule turns, as far as there is one."""
        work = self._tenure.work
        return work is None or work.turns()

    def standing(self) -> str:
        """One line that says who serves each purpose, or what keeps us from saying so."""
        tenure, lead = self._tenure, self._tenure.lead
        reason = tenure.away
        if tenure.role == "standby" and reason is None:
            reason = "standby: another daemon decides"
        elif reason is None and lead is not None and lead.watch.failing:
            reason = "the database takes nothing"
        servings = lead.servings() if lead is not None else None
        complaint = self._reload.complaint if self._reload is not None else None
        return standing_line(servings, reason=reason, complaint=complaint)

    def change(self, settings: Settings, catalog: Catalog) -> None:
        """Go by these from now on."""
        self._settings = settings
        self._doors.change(settings)
        self._tenure.change(settings, catalog)
        if self._on_settings is not None:
            self._on_settings(settings)

    async def follow_change(self) -> None:
        """Plan anew what was planned by other settings."""
        if self._tenure.lead is not None:
            await self._tenure.lead.replan()

    def stop(self) -> None:
        """End soon, and cleanly."""
        self._stopping.set()
        self._tenure.stop()

    async def run(self) -> None:
        """Run until told to stop.

        Raises:
            StartError, SettingsError, ListenError, EmbeddedError, SchemaError, KeyringError: it can't start.
        """
        self._catch_signals()
        await self._doors.open()
        self._tenure.identity = replace(self._tenure.identity, listen=self._doors.url)
        log.info("listening", url=self._doors.url)
        stops = asyncio.create_task(self._stopping.wait(), name="stop")
        tasks = [asyncio.create_task(self._tenure.run(), name="daemon"), *self._supervise()]
        try:
            done, _ = await asyncio.wait({stops, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task
        finally:
            log.info("stopping")
            self._manager.stopping()
            for task in (stops, *tasks):
                task.cancel()
            await asyncio.gather(stops, *tasks, return_exceptions=True)
            await self._tenure.close()
            # The doors first: an embedded database waits for those who ask it.
            await self._doors.close()
            if self._embedded is not None:
                patience = HUNG_DATABASE_SECONDS if self._tenure.hung else END_DATABASE_SECONDS
                await self._embedded.stop(patience_seconds=patience)
            log.info("stopped")
            self._manager.close()

    def _supervise(self) -> list[asyncio.Task[None]]:
        supervision, reload = self._supervision, self._reload
        tasks = [asyncio.create_task(supervision.run(), name="supervision")]
        if reload is not None:
            run = reload.run(before=supervision.reloading, after=supervision.reloaded)
            tasks.append(asyncio.create_task(run, name="reload"))
        if self._embedded is not None:
            tasks.append(asyncio.create_task(self._embedded.keep_log_bounded(), name="postgres log"))
        return tasks

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        # A terminal that is closed takes along what was started on it.
        hang_up = self.stop if self._reload is None or sys.stdin.isatty() else self._reload.ask
        loop.add_signal_handler(signal.SIGHUP, hang_up)
