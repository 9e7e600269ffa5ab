"""The daemon's HTTP doors: builds what they serve, opens and closes them, and gives them the database."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from monitor.integration import LLMConfigManager
from monitor.integration import router as management
from monitor.keyring import Keyring, KeyringError, generate, load_or_create
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.storage.address import Address, create_pool
from monitor.storage.listener import CONFIGURATION_CHANNEL, HEALTH_CHANNEL, Listener
from monitor.storage.purposes import ACTIVE_CHANNEL
from monitor.storage.tokens import TOKEN_CHANNEL
from monitor.web import (
    DaemonState,
    WebServer,
    create_app,
    create_open_app,
    routes_operator,
    routes_reports,
    routes_status,
)
from monitor.web.access import Access
from monitor.web.certificate import load_certificate
from monitor.web.events import Events
from monitor.web.guard import Entrance
from monitor.web.renewal import renew
from monitor.web.rules import DoorRules
from monitor.web.sessions import Sessions
from monitor.web.throttle import Throttle

ROUTERS = (management, routes_status.router, routes_reports.router, routes_operator.router)
NEWS = {ACTIVE_CHANNEL: "active", HEALTH_CHANNEL: "health", CONFIGURATION_CHANNEL: "configuration"}
CHANNELS = (TOKEN_CHANNEL, *NEWS)
COOKIE_KEY_FILE = "cookie.key"
POOL_SIZE = 8
POOL_COMMAND_SECONDS = 15.0
POOL_CLOSE_SECONDS = 1.0

log = structlog.get_logger()


class Doors:
    """The main door, and the one for the open pages alone where a setting asks for it."""

    def __init__(
        self, settings: Settings, state: DaemonState, metrics: Metrics, now: Callable[[], datetime]
    ) -> None:
        """Build them; nothing is opened or read yet.

        Args:
            settings: all of them.
            state: the daemon.
            metrics: its metrics.
            now: UTC.
        """
        self._settings = settings
        self._now = now
        self._address: Address | None = None
        self._pool: Any = None
        self._listens: asyncio.Task[None] | None = None
        self._renews: asyncio.Task[None] | None = None
        self._access = Access(lambda: self._pool, time.monotonic)
        self._entrance = Entrance(
            rules=_rules(settings),
            access=self._access,
            throttle=Throttle(time.monotonic),
        )
        self._app = create_app(state, metrics, self._entrance, ROUTERS)
        self._events: Events = self._app.state.events
        self._app.state.policy_for = settings.policy_for
        self._open_app = create_open_app(state, metrics)
        self._servers: list[WebServer] = []

    @property
    def url(self) -> str:
        """Where the main door answers, once it is open."""
        host, port = self._settings.host, self._servers[0].port
        scheme = "http" if self._settings.tls_cert is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def change(self, settings: Settings) -> None:
        """Go by other settings from now on, as far as they can change while the doors are open."""
        self._settings = settings
        self._entrance.rules = _rules(settings)
        self._app.state.policy_for = settings.policy_for

    async def open(self) -> None:
        """Answer requests; either all doors are open, or none.

        Raises:
            ListenError: an address can't be listened on.
            CertificateError: the certificate or its key can't be used.
        """
        settings = self._settings
        certificate = load_certificate(settings.tls_cert, settings.tls_key)
        self._servers = [WebServer(self._app, settings.host, settings.port, certificate=certificate)]
        if settings.metrics_listen is not None:
            host, port = settings.metrics_listen
            self._servers.append(
                WebServer(
                    self._open_app,
                    host,
                    port,
                    host_setting="MONITOR_METRICS_LISTEN",
                    port_setting="MONITOR_METRICS_LISTEN",
                )
            )
        try:
            for server in self._servers:
                await server.start()
            if certificate is not None and settings.tls_cert is not None and settings.tls_key is not None:
                renewal = renew(certificate, settings.tls_cert, settings.tls_key)
                self._renews = asyncio.create_task(renewal, name="certificate renewal")
        except BaseException:
            await self.close()
            raise

    async def database_found(self, address: Address, keyring: Keyring | None) -> None:
        """Answer from this database from now on; the one that is in use already stays so.

        No connection is made here: each is made when somebody asks, and made anew when it has ended.

        Args:
            address: the database, migrated.
            keyring: opens and seals stored keys; None without one.
        """
        if self._entrance.sessions is None:
            self._entrance.sessions = Sessions(_cookie_keyring(self._settings.data_dir), self._now)
        if address == self._address:
            return
        await self._leave_database()
        self._pool = await create_pool(
            address, min_size=0, max_size=POOL_SIZE, command_timeout=POOL_COMMAND_SECONDS
        )
        self._address = address
        self._app.state.pool = self._pool
        manager = LLMConfigManager(self._pool, None, old_encryption_keys=())
        manager.keyring = keyring  # the daemon's own, which notices when its keys are rotated
        self._app.state.llm_manager = manager
        listener = Listener(address, CHANNELS, self._hear, self._hear_again)
        self._listens = asyncio.create_task(listener.run(), name="door listener")

    async def close(self) -> None:
        """Answer no more, and leave the database."""
        self._events.end()
        await self._app.state.probe_runs.close()
        if self._renews is not None:
            self._renews.cancel()
            await asyncio.gather(self._renews, return_exceptions=True)
        for server in self._servers:
            await server.stop()
        await self._leave_database()

    def _hear(self, channel: str, payload: str) -> None:
        if channel == TOKEN_CHANNEL:
            self._access.forget(int(payload) if payload.isdecimal() else None)
            self._events.wake()
        else:
            self._events.publish(NEWS[channel], payload)

    def _hear_again(self) -> None:
        # Whatever was told meanwhile was not heard.
        self._access.forget()
        self._events.resync()

    async def _leave_database(self) -> None:
        listens, pool = self._listens, self._pool
        self._listens = self._pool = self._address = None
        self._app.state.pool = self._app.state.llm_manager = None
        self._access.forget()
        if listens is not None:
            listens.cancel()
            await asyncio.gather(listens, return_exceptions=True)
        if pool is not None:
            try:
                async with asyncio.timeout(POOL_CLOSE_SECONDS):
                    await pool.close()
            except TimeoutError:
                pool.terminate()


def _rules(settings: Settings) -> DoorRules:
    return DoorRules(
        host=settings.host, allowed_hosts=settings.allowed_hosts, trust_proxy=settings.trust_proxy
    )


def _cookie_keyring(folder: Path) -> Keyring:
    try:
        return Keyring(load_or_create(folder / COOKIE_KEY_FILE)[0])
    except KeyringError as error:
        # Logins are a convenience: without a disk they last until the daemon ends.
        log.warning("login_key_not_kept", reason=str(error))
        return Keyring(generate())
