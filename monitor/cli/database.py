"""The database of a command: the one that settings name, or the one that a daemon runs in its folder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from monitor.cli.refusal import Refused

if TYPE_CHECKING:
    from monitor.settings import Settings
    from monitor.storage.address import Address

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 30.0


def find_database(settings: "Settings") -> "Address":
    """Where it is.

    Raises:
        EmbeddedNotRunning: none is named, and no daemon runs one in the data folder.
        SettingsError: DATABASE_URL can't be read.
    """
    if settings.database is None:
        from monitor.storage.embedded import attach

        return attach(settings.data_dir)
    from monitor.settings.database import address_of

    return address_of(settings.database)


@asynccontextmanager
async def open_database(settings: "Settings", *, limit: bool = True) -> AsyncIterator[Any]:
    """One connection to it.

    Args:
        settings: which.
        limit: whether a statement that takes longer than 30 s is given up.

    Raises:
        Refused: it does not answer, refuses us, or was never migrated.
    """
    import asyncpg

    from monitor.storage.address import connect

    address = find_database(settings)
    where = f"{_setting(settings)}: {address.describe()}"
    try:
        connection = await connect(
            address, timeout=CONNECT_SECONDS, command_timeout=COMMAND_SECONDS if limit else None
        )
    except OSError as error:
        reason = (
            "no answer in time" if isinstance(error, TimeoutError) else error.strerror or type(error).__name__
        )
        raise Refused(f"{where} does not answer ({reason}): start it, or mend the setting") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise Refused(f"{where} can't be used ({error}): mend the setting or the database") from error
    try:
        yield connection
    except (
        asyncpg.UndefinedTableError,
        asyncpg.UndefinedColumnError,
        asyncpg.InvalidSchemaNameError,
    ) as error:
        raise Refused(f"{where} is not migrated ({error}): run llm-monitor migrate") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise Refused(
            f"{where}: this role may not do that ({error}): grant it, or use another role"
        ) from error
    except (asyncpg.PostgresConnectionError, ConnectionError) as error:
        raise Refused(f"{where} has stopped answering ({type(error).__name__}): try again") from error
    finally:
        connection.terminate() if connection.is_closed() else await connection.close(timeout=2)


def _setting(settings: "Settings") -> str:
    if settings.database is None:
        return "MONITOR_DATA_DIR"
    return "DATABASE_URL" if settings.database.url is not None else "POSTGRES_HOST"
