"""Numbered SQL files, each applied once, in order, in a transaction of its own."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import asyncpg
import structlog

from monitor.storage.application_tables import SchemaError, check_application_tables
from monitor.storage.queries import QUERIES

_ATTEMPTS = 10

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file.

    Attributes:
        number: its place.
        name: the file's, without the ending.
        script: its SQL.
        checksum: SHA-256 of the script: a shipped migration is never edited.
    """

    number: int
    name: str
    script: str
    checksum: str


def load_migrations() -> list[Migration]:
    """The program's migrations, in order."""
    found = []
    for file in resources.files("monitor.storage").joinpath("sql", "migrations").iterdir():
        if file.name.endswith(".sql"):
            script = file.read_text(encoding="utf-8")
            name = file.name.removesuffix(".sql")
            checksum = hashlib.sha256(script.encode()).hexdigest()
            found.append(
                Migration(number=int(name.split("_")[0]), name=name, script=script, checksum=checksum)
            )
    return sorted(found, key=lambda migration: migration.number)


async def pending(connection: Any) -> list[str]:
    """Names of the migrations that `migrate` would apply.

    Raises:
        SchemaError: the database is newer than this program, or was migrated by files that differ from ours.
    """
    known = load_migrations()
    applied = await _applied(connection, known)
    return [migration.name for migration in known if migration.number not in applied]


async def migrate(connection: Any) -> list[str]:
    """Bring the database up to this program; the second time changes nothing.

    The application's tables are created where they are missing and adopted where they exist. Triggers
    that were lost (a table made anew) are put back.

    Args:
        connection: outside of a transaction, of a role that may create a schema.

    Returns:
        Names of the migrations applied now.

    Raises:
        SchemaError: nothing or only whole migrations were applied; the message says what to mend.
    """
    known = load_migrations()
    await _applied(connection, known)
    await check_application_tables(connection)
    done = [migration.name for migration in known if await _patiently(connection, migration, known)]
    await _patiently(connection, None, known)
    if done:
        log.info("migrated", applied=done)
    return done


async def _patiently(connection: Any, migration: Migration | None, known: list[Migration]) -> bool:
    for attempt in range(_ATTEMPTS):
        try:
            async with connection.transaction():
                await connection.execute(QUERIES["limit_lock_wait"])
                if migration is None:
                    return await _attach_triggers(connection)
                return await _apply(connection, migration, known)
        except asyncpg.LockNotAvailableError as error:
            if attempt == _ATTEMPTS - 1:
                raise SchemaError(
                    "a table stays locked by another transaction, so the database cannot be migrated: end "
                    "that transaction (pg_stat_activity shows it) and start again"
                ) from error
            log.info("migration_waits_for_a_lock", migration=migration.name if migration else "triggers")
            await asyncio.sleep(0.5)
        except asyncpg.InsufficientPrivilegeError as error:
            raise SchemaError(
                f"this role may not migrate the database ({error}): grant it CREATE on the database and the "
                "schema, and TRIGGER on ai_servers, llm_api_keys and active_providers"
            ) from error
    raise AssertionError("every attempt returns or raises")


async def _apply(connection: Any, migration: Migration, known: list[Migration]) -> bool:
    await connection.execute(QUERIES["lock_migrations"])
    if not await connection.fetchval(QUERIES["has_ledger"]):
        if not await connection.fetchval(QUERIES["has_schema"]):
            await connection.execute(QUERIES["create_schema"])
        await connection.execute(QUERIES["create_ledger"])
    if migration.number in await _applied(connection, known):
        return False
    await connection.execute(migration.script)
    await connection.execute(QUERIES["write_ledger"], migration.number, migration.name, migration.checksum)
    return True


async def _attach_triggers(connection: Any) -> bool:
    await connection.execute(QUERIES["lock_migrations"])
    tables = [row[0] for row in await connection.fetch(QUERIES["attach_triggers"])]
    if tables:
        log.info("triggers_attached", tables=tables)
    return bool(tables)


async def _applied(connection: Any, known: list[Migration]) -> Mapping[int, str]:
    """Numbers and checksums of the ledger, after a look at whether they are ours."""
    if not await connection.fetchval(QUERIES["has_ledger"]):
        return {}
    applied = {row["number"]: row for row in await connection.fetch(QUERIES["read_ledger"])}
    ours = {migration.number: migration for migration in known}
    for number, row in applied.items():
        if number not in ours:
            raise SchemaError(
                f"the database was migrated by a newer release ({row['name']} is unknown here): "
                "upgrade this program"
            )
        if ours[number].checksum != row["checksum"]:
            raise SchemaError(
                f"the database was migrated by another {row['name']} than this program's: install the "
                "release that migrated it, or drop the schema monitor (our history goes, the application's "
                "tables stay) and migrate again"
            )
    return {number: row["checksum"] for number, row in applied.items()}
