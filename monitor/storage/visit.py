"""One connection for one question of a person, whose failures are told in words."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from monitor.storage.address import Address, connect

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 2.0

_NOT_MIGRATED = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError)


class VisitRefused(Exception):
    """The database can't answer; the message names it, without a password, and the mend."""


@asynccontextmanager
async def visit(
    address: Address, *, named_by: str, command_timeout: float | None = 30.0
) -> AsyncIterator[Any]:
    """Connect, and close whatever happens.

    Args:
        address: the database.
        named_by: the setting to mend, for the message.
        command_timeout: seconds that one statement may take; None for as long as it wants.

    Raises:
        VisitRefused: it does not answer, refuses us, or was never migrated.
    """
    where = f"{named_by}: {address.describe()}"
    try:
        connection = await connect(address, timeout=CONNECT_SECONDS, command_timeout=command_timeout)
    except OSError as error:
        late = isinstance(error, TimeoutError)
        reason = "no answer in time" if late else error.strerror or type(error).__name__
        raise VisitRefused(f"{where} does not answer ({reason}): start it, or mend the setting") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise VisitRefused(f"{where} can't be used ({error}): mend the setting or the database") from error
    try:
        yield connection
    except _NOT_MIGRATED as error:
        raise VisitRefused(f"{where} is not migrated ({error}): run llm-monitor migrate") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise VisitRefused(
            f"{where}: this role may not do that ({error}): grant it, or use another role"
        ) from error
    except (asyncpg.PostgresConnectionError, ConnectionError, TimeoutError) as error:
        raise VisitRefused(f"{where} has stopped answering ({type(error).__name__}): try again") from error
    finally:
        if not connection.is_closed():
            try:
                await connection.close(timeout=CLOSE_SECONDS)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()
