"""The composition root: builds everything, starts it, stops it. The only reader of the wall clock."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import uuid4

import structlog

from monitor import __version__
from monitor.domain.application_status import ApplicationStatus
from monitor.domain.catalog import Catalog
from monitor.domain.provider import Purpose
from monitor.domain.standing_line import standing_line
from monitor.domain.target import SealedKey
from monitor.doors import Doors
from monitor.jobs.check_keys import CheckKeys
from monitor.jobs.first_token import keep_first_token
from monitor.jobs.heartbeat import Heartbeat
from monitor.jobs.lead import Lead
from monitor.jobs.open_keyring import open_keyring, refuse_key
from monitor.jobs.spool_results import drain_batch
from monitor.keyring import Keyring, KeyringError
from monitor.metrics import Metrics
from monitor.probing.catalog import load_catalog
from monitor.probing.destinations import Destinations
from monitor.probing.prober import Prober
from monitor.reload import Reload
from monitor.scheduling import Scheduler
from monitor.service_manager import ServiceManager
from monitor.settings import Settings
from monitor.settings.database import address_of
from monitor.storage.address import Address, connect
from monitor.storage.arrivals import Retention
from monitor.storage.daemons import DaemonRow, forget_daemon
from monitor.storage.embedded import EmbeddedServer
from monitor.storage.embedded_folder import EmbeddedError
from monitor.storage.errors import HOPELESS_ERRORS, STORE_ERRORS
from monitor.storage.history import read_store_id
from monitor.storage.leader import LeaderSession
from monitor.storage.listener import Listener
from monitor.storage.migrations import migrate
from monitor.storage.spool import Spool
from monitor.supervision import Supervision
from monitor.web import Role

log = structlog.get_logger()

STANDBY_LOOK_SECONDS = 1.0
AWAY_FIRST_SECONDS = 0.5
AWAY_MOST_SECONDS = 5.0
AWAY_SAID_SECONDS = 60.0
BEAT_SECONDS = 5.0
ANSWER_SECONDS = 1.5
FINISH_SECONDS = 5.0
END_DATABASE_SECONDS = 8.0
HUNG_DATABASE_SECONDS = 0.5


class Clock:
    """The database's clock at the first connection plus our monotonic clock since: no step moves it."""

    def __init__(self) -> None:
        self._anchor = datetime.now(UTC)
        self._anchored_at = time.monotonic()

    def now(self) -> datetime:
        """UTC."""
        return self._anchor + timedelta(seconds=time.monotonic() - self._anchored_at)

    def anchor(self, now: datetime) -> None:
        """Take over another clock's time."""
        self._anchor, self._anchored_at = now, time.monotonic()


class StartError(Exception):
    """The daemon can't start as it is configured; the message says what to mend."""


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
        self._offer = offer
        self._on_ready = on_ready
        self._conceal = conceal
        self._on_settings = on_settings
        self._manager = manager or ServiceManager()
        self._supervision = Supervision(self._manager, self)
        self._reload = Reload(self, read_settings) if read_settings is not None else None
        self._clock = Clock()
        self._anchored = False
        self._metrics = Metrics(version=__version__)
        self._spool = Spool(settings.data_dir, self._metrics.count_results_dropped)
        self._embedded = (
            EmbeddedServer(settings.data_dir, group=settings.pg_group) if settings.database is None else None
        )
        self._keyring: Keyring | None = None
        self._key_complaint: str | None = None
        self._keys = CheckKeys(self._unseal)
        self._catalog = load_catalog()
        self._doors = Doors(settings, self, self._metrics, self._clock.now)
        self._role: Role = "starting"
        self._away: str | None = "the database has not answered yet"
        self._stopping = asyncio.Event()
        self._lead: Lead | None = None
        self._scheduler: Scheduler | None = None
        self._prober: Prober | None = None
        self._identity: DaemonRow | None = None
        self._prepared = False
        self._settled = False
        self._hung = False

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self._settings

    def role(self) -> Role:
        """Whether it acts, or waits for the daemon that does."""
        return self._role

    def readiness(self) -> list[str]:
        """Why it is not ready; empty when it is."""
        if self._away is not None:
            return [self._away]
        if self._role == "standby":
            return ["standby: another daemon holds the lock"]
        if self._scheduler is None or not self._scheduler.alive():
            return ["the schedule does not turn"]
        return []

    def purposes(self) -> Mapping[Purpose, ApplicationStatus]:
        """The health of what serves each purpose."""
        return self._lead.purposes() if self._lead else {}

    def results_waiting(self) -> int:
        """How many results wait on this daemon's disk for the database."""
        return self._lead.results_waiting() if self._lead else self._spool.waiting

    def settled(self) -> bool:
        """Whether the start is over: it decides, stands by, or waits for a database that is away."""
        return self._settled

    def turns(self) -> bool:
        """Whether the schedule turns, as far as there is one."""
        return self._scheduler is None or self._scheduler.alive()

    def standing(self) -> str:
        """One line that says who serves each purpose, or what keeps us from saying so."""
        reason = self._away
        if self._role == "standby" and reason is None:
            reason = "standby: another daemon decides"
        elif reason is None and self._lead is not None and self._lead.watch.failing:
            reason = "the database takes nothing"
        servings = self._lead.servings() if self._lead is not None else None
        complaint = self._reload.complaint if self._reload is not None else None
        return standing_line(servings, reason=reason, complaint=complaint)

    def change(self, settings: Settings, catalog: Catalog) -> None:
        """Go by these from now on."""
        self._settings, self._catalog = settings, catalog
        self._doors.change(settings)
        if self._lead is not None:
            self._lead.change(policy_for=settings.policy_for, catalog=catalog, keep=_keep(settings))
        if self._on_settings is not None:
            self._on_settings(settings)

    async def follow_change(self) -> None:
        """Plan anew what was planned by other settings."""
        if self._lead is not None:
            await self._lead.replan()

    def stop(self) -> None:
        """End soon, and cleanly."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until told to stop.

        Raises:
            StartError, SettingsError, ListenError, EmbeddedError, SchemaError, KeyringError: it can't start.
        """
        self._catch_signals()
        await self._open_doors()
        stops = asyncio.create_task(self._stopping.wait(), name="stop")
        tasks = [asyncio.create_task(self._live(), name="daemon"), *self._supervise()]
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
            await self._close_lead()
            await self._spool.close()
            # The doors first: an embedded database waits for those who ask it.
            await self._doors.close()
            if self._embedded is not None:
                patience = HUNG_DATABASE_SECONDS if self._hung else END_DATABASE_SECONDS
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

    async def _open_doors(self) -> None:
        await self._doors.open()
        self._identity = DaemonRow(
            instance=uuid4(),
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            role="standby",
            listen=self._doors.url,
            started_at=self._clock.now(),
        )
        log.info("listening", url=self._identity.listen)

    async def _live(self) -> None:
        """Find the database, lead or stand by, and again whenever the session ends."""
        wait, said_at = AWAY_FIRST_SECONDS, -AWAY_SAID_SECONDS
        while True:
            session: LeaderSession | None = None
            try:
                address = await self._find_database()
                session = LeaderSession(address)
                await session.open()
                await self._prepare(session, address)
                self._away = "the records are being read"
                await self._serve(session, address)
                wait, said_at = AWAY_FIRST_SECONDS, -AWAY_SAID_SECONDS
                self._away = "the session with the database has ended"
                log.warning("database_session_lost")
            except STORE_ERRORS as error:
                self._refuse_hopeless(error)
                self._away = f"the database does not answer ({type(error).__name__})"
                self._settled = True
                if time.monotonic() - said_at >= AWAY_SAID_SECONDS:
                    said_at = time.monotonic()
                    log.warning("database_away", database=self._database_name(), error=type(error).__name__)
            finally:
                self._metrics.set_store_up(False)
                if session is not None:
                    await self._end_session(session)
            await asyncio.sleep(wait)
            wait = min(wait * 2, AWAY_MOST_SECONDS)

    async def _find_database(self) -> Address:
        if self._settings.database is not None:
            return address_of(self._settings.database)
        if self._embedded is None:
            raise StartError("no database is named, and none is embedded")
        try:
            return await self._embedded.start()
        except EmbeddedError as error:
            if not self._prepared:
                raise
            # It ran before: a full disk or a slow recovery passes, and probes go on meanwhile.
            log.warning("embedded_postgres_failed", reason=str(error))
            raise ConnectionError("the embedded PostgreSQL does not start") from error

    async def _prepare(self, session: LeaderSession, address: Address) -> None:
        if not self._anchored:
            self._clock.anchor(await session.read_clock())
            self._anchored = True
            self._identity = replace(self._who, started_at=self._clock.now())
        connection = await connect(address)
        try:
            await migrate(connection)
            if not self._prepared:
                self._keyring = await self._open_keyring(connection)
                if self._offer is not None:
                    await self._offer(connection, self._keyring)
            if self._embedded is not None and self._embedded.owned:
                await keep_first_token(connection, self._settings.data_dir)
        finally:
            await connection.close()
        self._prepared = True
        await self._doors.database_found(address, self._keyring)

    async def _open_keyring(self, connection: Any) -> Keyring | None:
        settings = self._settings
        current, old = settings.encryption_key, settings.old_encryption_keys
        return await open_keyring(
            connection,
            current=current.get_secret_value() if current else None,
            old=tuple(key.get_secret_value() for key in old),
            key_folder=settings.data_dir if self._embedded is not None else None,
        )

    async def _serve(self, session: LeaderSession, address: Address) -> None:
        if not await session.try_lead():
            await self._stand_by(session)
        if session.lost.is_set():
            return
        lead = self._lead or await self._new_lead()
        listener = Listener(address, list(lead.channels), lead.notified, lead.missed)
        listens = asyncio.create_task(listener.run(), name="listener")
        try:
            await lead.take_up(session)
            self._role, self._away, self._settled = "active", None, True
            self._metrics.set_active_daemon(True)
            log.info("leading", targets=len(lead.beliefs.targets))
            if self._on_ready is not None:
                on_ready, self._on_ready = self._on_ready, None
                await on_ready(address)
            await lead.run(session)
        finally:
            listens.cancel()
            await asyncio.gather(listens, return_exceptions=True)

    async def _stand_by(self, session: LeaderSession) -> None:
        await self._leave(session)
        self._role, self._away, self._settled = "standby", None, True
        self._metrics.set_active_daemon(False)
        log.info("standing_by", reason="another daemon holds the lock of this database")
        heartbeat = Heartbeat(self._who, key_ids=self._key_ids)
        beaten_at = -BEAT_SECONDS
        while not session.lost.is_set() and not await session.try_lead():
            if time.monotonic() - beaten_at >= BEAT_SECONDS:
                beaten_at = time.monotonic()
                await heartbeat.beat(session, "standby")
                self._metrics.set_store_up(True)
            # What this folder still holds from a time as the active one is stored, then others may have it.
            if not await drain_batch(session, self._spool, self._metrics) and not self._spool.waiting:
                await self._spool.close()
            self._metrics.set_results_pending(self._spool.waiting)
            try:
                async with asyncio.timeout(STANDBY_LOOK_SECONDS):
                    await session.lost.wait()
            except TimeoutError:
                continue

    async def _leave(self, session: LeaderSession) -> None:
        """Hand over: results are history and go into any database session, beliefs are the other daemon's."""
        if self._scheduler is not None:
            await self._scheduler.stop()
        if self._lead is not None:
            await self._lead.leave(session)
        await self._close_lead()
        async with session.use() as connection:
            store = await read_store_id(connection)
        await self._spool.open(store, quietly=True)

    async def _new_lead(self) -> Lead:
        settings = self._settings
        self._prober = Prober(
            unseal=self._keys.unseal,
            now=self._clock.now,
            overall_limit=settings.concurrency,
            upstream_limit=settings.upstream_concurrency,
            destinations=Destinations(allow_metadata_addresses=settings.allow_metadata_addresses),
        )
        await self._prober.start()
        self._scheduler = Scheduler(on_lag=self._metrics.observe_schedule_lag)
        self._scheduler.start()
        self._lead = Lead(
            catalog=self._catalog,
            policy_for=settings.policy_for,
            prober=self._prober,
            schedule=self._scheduler,
            metrics=self._metrics,
            now=self._clock.now,
            keep=_keep(settings),
            identity=self._who,
            spool=self._spool,
            allow_metadata_addresses=settings.allow_metadata_addresses,
            key_ids=self._key_ids,
            keys=self._keys,
        )
        return self._lead

    def _unseal(self, sealed: SealedKey) -> str:
        key = (self._keyring.unseal if self._keyring else refuse_key)(sealed)
        if self._conceal is not None:
            self._conceal(key)
        return key

    def _key_ids(self) -> tuple[str, ...]:
        """Which encryption keys this daemon opens with, after a look at whether somebody has rotated them."""
        if self._keyring is None:
            return ()
        try:
            if self._keyring.refresh():
                log.info("encryption_keys_changed", count=len(self._keyring.ids))
                if self._lead is not None:
                    self._lead.rows_changed()
            self._key_complaint = None
        except KeyringError as error:
            if self._key_complaint != str(error):
                self._key_complaint = str(error)
                log.warning("encryption_keys_unreadable", reason=self._key_complaint)
        return self._keyring.ids

    async def _close_lead(self) -> None:
        """Cease to probe; what is not stored by now waits on disk."""
        scheduler, prober, lead = self._scheduler, self._prober, self._lead
        self._scheduler = self._prober = self._lead = None
        if scheduler is not None:
            await scheduler.stop()
        if prober is not None:
            await prober.close()
        if lead is not None:
            await lead.close()
            lead.stop()

    async def _end_session(self, session: LeaderSession) -> None:
        """Leave with everything stored, and without a trace of a daemon that no longer lives."""
        try:
            if not session.lost.is_set() and self._identity is not None:
                if self._stopping.is_set():
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await session.read_clock()
                async with asyncio.timeout(FINISH_SECONDS):
                    # A session that ended of itself is followed by another one: probes go on meanwhile.
                    if self._stopping.is_set() and self._lead is not None and session.leads:
                        if self._scheduler is not None:
                            await self._scheduler.stop()
                        await self._lead.finish(session)
                    async with session.use() as connection:
                        await forget_daemon(connection, self._identity.instance)
        except STORE_ERRORS as error:
            # One that ends of itself has nothing to store at its end: its results wait for the next one.
            if self._stopping.is_set():
                # A database that takes nothing any more will not end in order either.
                self._hung = True
                log.warning("not_everything_stored", error=type(error).__name__)
        finally:
            await session.close()

    def _refuse_hopeless(self, error: BaseException) -> None:
        """Waiting does not mend a wrong password; once it has worked, it may be mended on the other side."""
        if not self._prepared and isinstance(error, HOPELESS_ERRORS):
            raise StartError(
                f"{self._database_name()} refuses: {error}; mend DATABASE_URL or POSTGRES_*"
            ) from error

    def _database_name(self) -> str:
        database = self._settings.database
        return address_of(database).describe() if database is not None else str(self._settings.data_dir)

    @property
    def _who(self) -> DaemonRow:
        if self._identity is None:
            raise RuntimeError("the doors open first")
        return self._identity

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        # A terminal that is closed takes along what was started on it.
        hang_up = self.stop if self._reload is None or sys.stdin.isatty() else self._reload.ask
        loop.add_signal_handler(signal.SIGHUP, hang_up)


def _keep(settings: Settings) -> Retention:
    return Retention(
        results=timedelta(days=settings.retention_days),
        hourly=timedelta(days=settings.retention_hourly_days),
        daily=timedelta(days=settings.retention_daily_days),
    )
