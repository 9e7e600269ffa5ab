"""Reads the settings again while the daemon runs: all that can change is taken up at once, or nothing is."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from monitor.domain.catalog import Catalog
from monitor.probing.catalog import CatalogError, load_catalog
from monitor.settings import Settings, SettingsError
from monitor.settings.change import SettingsChange, compare
from monitor.settings.database import address_of

log = structlog.get_logger()


class Changing(Protocol):
    """The daemon."""

    @property
    def settings(self) -> Settings:
        """Those in force."""

    def change(self, settings: Settings, catalog: Catalog) -> None:
        """Go by these from now on; must not fail, and must not wait."""

    async def follow_change(self) -> None:
        """Do what takes longer: plan what was planned by the others."""


class Reload:
    """Reads them whenever somebody asks.

    Attributes:
        complaint: why the last reading was refused; None when it was not.
    """

    def __init__(self, daemon: Changing, read: Callable[[], Settings]) -> None:
        """Nothing is read yet.

        Args:
            daemon: whose settings they are.
            read: all places where settings are written; raises SettingsError.
        """
        self._daemon = daemon
        self._read = read
        self._asked = asyncio.Event()
        self.complaint: str | None = None

    def ask(self) -> None:
        """Read them soon; asked twice meanwhile, once."""
        self._asked.set()

    async def run(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        """Until cancelled.

        Args:
            before: called before each reading.
            after: called after it, whatever came of it.
        """
        while True:
            await self._asked.wait()
            self._asked.clear()
            before()
            try:
                await self.reload()
            finally:
                after()

    async def reload(self) -> None:
        """Once: take up what was read, or keep what is in force and say why."""
        try:
            settings, catalog = await asyncio.to_thread(self._read_all)
        except (SettingsError, CatalogError, OSError) as error:
            self._refuse(str(error))
            return
        change = compare(self._daemon.settings, settings)
        self._daemon.change(change.settings, catalog)
        self.complaint = _waiting(change)
        self._tell(change)
        await self._daemon.follow_change()

    def _read_all(self) -> tuple[Settings, Catalog]:
        settings = self._read()
        if settings.database is not None:
            address_of(
                settings.database
            )  # an address that can't be read is a mistake now, not at the next start
        return settings, load_catalog()

    def _refuse(self, reason: str) -> None:
        line = " ".join(reason.split())
        self.complaint = f"settings not reloaded, the former ones stay: {line}"
        log.error("settings_not_reloaded", reason=line)

    def _tell(self, change: SettingsChange) -> None:
        log.info("settings_reloaded", changed=list(change.taken_up))
        if change.waiting:
            log.warning("settings_want_a_restart", settings=list(change.waiting))
        for warning in change.settings.warnings:
            log.warning("setting_doubtful", reason=warning)


def _waiting(change: SettingsChange) -> str | None:
    return f"restart to apply: {', '.join(change.waiting)}" if change.waiting else None
