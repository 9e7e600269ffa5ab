"""The database of a command: the one that settings name, or the one that a daemon runs in its folder."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.settings import Settings
    from monitor.storage.address import Address


def find_database(settings: "Settings") -> "Address":
    """Where it is.

    Raises:
        EmbeddedNotRunning: none is named, and no daemon runs one in the data folder.
        SettingsError: DATABASE_URL can't be read.
    """
    if settings.database is None:
        from monitor.storage.embedded_attach import attach

        return attach(settings.data_dir)
    from monitor.settings.database import address_of

    return address_of(settings.database)


def open_database(settings: "Settings", **options: Any) -> AbstractAsyncContextManager[Any]:
    """One connection to it; `options` are those of `monitor.storage.visit.visit`, whose errors are raised."""
    address = find_database(settings)
    from monitor.storage.visit import visit

    return visit(address, named_by=settings.database_named_by(), **options)


def _setting(settings: "Settings") -> str:
    if settings.database is None:
        return "MONITOR_DATA_DIR"
    return "DATABASE_URL" if settings.database.url is not None else "POSTGRES_HOST"
