"""A daemon's time on its database: waits for it, stands by or leads, and again whenever the session ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import structlog

from monitor.clock import Clock
from monitor.domain.catalog import Catalog
from monitor.doors import Doors
from monitor.jobs.check_keys import CheckKeys
from monitor.jobs.first_token import keep_first_token
from monitor.jobs.heartbeat import Heartbeat
from monitor.jobs.lead import Lead
from monitor.jobs.spool_results import drain_batch
from monitor.keyring import Keyring
from monitor.metrics import Metrics
from monitor.open_keys import OpenKeys
from monitor.probing.catalog import load_catalog
from monitor.settings import Settings
from monitor.settings.database import address_of
from monitor.storage.address import Address, connect
from monitor.storage.daemons import DaemonRow, forget_daemon
from monitor.storage.embedded import EmbeddedServer
from monitor.storage.embedded_folder import EmbeddedError
from monitor.storage.errors import HOPELESS_ERRORS, STORE_ERRORS
from monitor.storage.history import read_store_id
from monitor.storage.leader import LeaderSession
from monitor.storage.listener import Listener
from monitor.storage.migrations import migrate
from monitor.storage.spool import Spool
from monitor.web import Role
from monitor.work import Work

log = structlog.get_logger()

STANDBY_LOOK_SECONDS = 1.0
AWAY_FIRST_SECONDS = 0.5
AWAY_MOST_SECONDS = 5.0
AWAY_SAID_SECONDS = 60.0
BEAT_SECONDS = 5.0
ANSWER_SECONDS = 1.5
FINISH_SECONDS = 5.0


class StartError(Exception):
    """The daemon can't start as it is configured; the message says what to mend."""


class Tenure:
    """One for a daemon.

    Attributes:
        identity: the daemon, as others see it.
        role: whether it acts, or waits for the daemon that does.
        away: why nothing can be done on the database; None when it can.
        settled: the start is over: it decides, stands by, or waits for a database that is away.
        hung: the database took nothing any more at the end.
        work: None before it has led, and after another one did.
    """

    def __init__(
        self,
        settings: Settings,
        identity: DaemonRow,
        *,
        clock: Clock,
        metrics: Metrics,
        embedded: EmbeddedServer | None,
        doors: Doors,
        offer: Callable[[Any, Keyring | None], Awaitable[None]] | None,
        on_ready: Callable[[Address], Awaitable[None]] | None,
        conceal: Callable[[str], None] | None,
    ) -> None:
        """Nothing is asked of the database yet.

        Args:
            settings: all of them.
            identity: who stands by or leads.
            clock: is anchored to the database's.
            metrics: of the daemon.
            embedded: the database when the settings name none.
            doors: are given the database.
            offer: called once with a connection when the schema stands, before anything is probed.
            on_ready: called once when this daemon decides.
            conceal: told of every key that is opened.
        """
        self.identity = identity
        self.role: Role = "starting"
        self.away: str | None = "the database has not answered yet"
        self.settled = False
        self.hung = False
        self.work: Work | None = None
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._embedded = embedded
        self._doors = doors
        self._offer = offer
        self._on_ready = on_ready
        self._catalog = load_catalog()
        self._spool = Spool(settings.data_dir, metrics.count_results_dropped)
        self._open_keys = OpenKeys(conceal, self._rows_changed)
        self._keys = CheckKeys(self._open_keys.unseal)
        self._anchored = False
        self._prepared = False
        self._stopping = False

    @property
    def lead(self) -> Lead | None:
        """The jobs, while there are any."""
        return self.work.lead if self.work is not None else None

    def results_waiting(self) -> int:
        """How many results wait on this daemon's disk for the database."""
        return self.lead.results_waiting() if self.lead is not None else self._spool.waiting

    def change(self, settings: Settings, catalog: Catalog) -> None:
        """Go by these from now on."""
        self._settings, self._catalog = settings, catalog
        if self.work is not None:
            self.work.change(settings, catalog)

    def stop(self) -> None:
        """The session that is about to be cancelled is the last one: store what is known before it ends."""
        self._stopping = True

    async def run(self) -> None:
        """Until cancelled: find the database, lead or stand by, and again whenever the session ends.

        Raises:
            StartError, EmbeddedError, SchemaError, KeyringError: it can't start.
        """
        wait, said_at = AWAY_FIRST_SECONDS, -AWAY_SAID_SECONDS
        while True:
            session: LeaderSession | None = None
            try:
                address = await self._find_database()
                session = LeaderSession(address)
                await session.open()
                await self._prepare(session, address)
                self.away = "the records are being read"
                await self._serve(session, address)
                wait, said_at = AWAY_FIRST_SECONDS, -AWAY_SAID_SECONDS
                self.away = "the session with the database has ended"
                log.warning("database_session_lost")
            except STORE_ERRORS as error:
                self._refuse_hopeless(error)
                self.away = f"the database does not answer ({type(error).__name__})"
                self.settled = True
                if time.monotonic() - said_at >= AWAY_SAID_SECONDS:
                    said_at = time.monotonic()
                    log.warning("database_away", database=self._database_name(), error=type(error).__name__)
            finally:
                self._metrics.set_store_up(False)
                if session is not None:
                    await self._end_session(session)
            await asyncio.sleep(wait)
            wait = min(wait * 2, AWAY_MOST_SECONDS)

    async def close(self) -> None:
        """Cease to probe, and leave what is not stored on disk."""
        await self._close_work()
        await self._spool.close()

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
            self.identity = replace(self.identity, started_at=self._clock.now())
        connection = await connect(address)
        try:
            await migrate(connection)
            if not self._prepared:
                key_folder = self._settings.data_dir if self._embedded is not None else None
                await self._open_keys.open(connection, self._settings, key_folder)
                if self._offer is not None:
                    await self._offer(connection, self._open_keys.keyring)
            if self._embedded is not None and self._embedded.owned:
                await keep_first_token(connection, self._settings.data_dir)
        finally:
            await connection.close()
        self._prepared = True
        await self._doors.database_found(address, self._open_keys.keyring)

    async def _serve(self, session: LeaderSession, address: Address) -> None:
        if not await session.try_lead():
            await self._stand_by(session)
        if session.lost.is_set():
            return
        if self.work is None:
            self.work = await self._begin_work()
        lead = self.work.lead
        listener = Listener(address, list(lead.channels), lead.notified, lead.missed)
        listens = asyncio.create_task(listener.run(), name="listener")
        try:
            await lead.take_up(session)
            self.role, self.away, self.settled = "active", None, True
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
        await self._hand_over(session)
        self.role, self.away, self.settled = "standby", None, True
        self._metrics.set_active_daemon(False)
        log.info("standing_by", reason="another daemon holds the lock of this database")
        heartbeat = Heartbeat(self.identity, key_ids=self._open_keys.ids)
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

    async def _hand_over(self, session: LeaderSession) -> None:
        """Results are history and go into any database session, beliefs are the other daemon's."""
        if self.work is not None:
            await self.work.leave(session)
        await self._close_work()
        async with session.use() as connection:
            store = await read_store_id(connection)
        await self._spool.open(store, quietly=True)

    async def _begin_work(self) -> Work:
        return await Work.begin(
            settings=self._settings,
            catalog=self._catalog,
            keys=self._keys,
            open_keys=self._open_keys,
            metrics=self._metrics,
            now=self._clock.now,
            identity=self.identity,
            spool=self._spool,
        )

    async def _close_work(self) -> None:
        work, self.work = self.work, None
        if work is not None:
            await work.close()

    async def _end_session(self, session: LeaderSession) -> None:
        """Leave with everything stored, and without a trace of a daemon that no longer lives."""
        try:
            if not session.lost.is_set():
                if self._stopping:
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await session.read_clock()
                async with asyncio.timeout(FINISH_SECONDS):
                    # A session that ended of itself is followed by another one: probes go on meanwhile.
                    if self._stopping and self.work is not None and session.leads:
                        await self.work.finish(session)
                    async with session.use() as connection:
                        await forget_daemon(connection, self.identity.instance)
        except STORE_ERRORS as error:
            # One that ends of itself has nothing to store at its end: its results wait for the next one.
            if self._stopping:
                # A database that takes nothing any more will not end in order either.
                self.hung = True
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

    def _rows_changed(self) -> None:
        if self.lead is not None:
            self.lead.rows_changed()
