"""Numbered SQL files, each applied once, in order, in a transaction of its own, beside whoever is at work.

Expand, deploy, contract: a migration only adds, so that a program of any version before it goes on. One that
takes something away says `-- oldest program: 9`: a program that does not know migration 9 can't live with it,
and refuses to start on such a database. docs/upgrade.md says how to write one, and
tests/unit/test_migration_rules.py holds it.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import Any

import asyncpg
import structlog

from monitor.storage.application_tables import SchemaError, check_application_tables
from monitor.storage.queries import QUERIES

TRIGGERED_TABLES = ("ai_servers", "llm_api_keys", "active_providers", "monitor.preferences")

_LOCK_WAITS = ("100ms", "100ms", "100ms", "100ms", "100ms", "1500ms")
"""By turns, how long one attempt waits for a table; everybody else waits behind it meanwhile. Mostly too
short to be noticed; now and then so long that an autovacuum gives way (after deadlock_timeout, 1 s)."""
_ATTEMPTS = 60
_PAUSE_SECONDS = 0.5
_SAID_EACH = 20
_LONGEST_SCRIPT_SECONDS = 86400.0

_OLDEST = re.compile(r"^-- oldest program: (\d+)$", re.MULTILINE)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file.

    Attributes:
        number: its place.
        name: the file's, without the ending.
        script: its SQL.
        checksum: SHA-256 of the script: a shipped migration is never edited.
        oldest: programs that do not know the migration of this number can't live with it; 0 when all can.
    """

    number: int
    name: str
    script: str
    checksum: str
    oldest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A database beside this program.

    Attributes:
        pending: names of the migrations that it lacks, in order.
        newer: names of those that it has and this program does not know, and can live with.
    """

    pending: tuple[str, ...]
    newer: tuple[str, ...]


def load_migrations() -> list[Migration]:
    """The program's migrations, in order."""
    folder = resources.files("monitor.storage").joinpath("sql", "migrations")
    found = [
        read_migration(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found, key=lambda migration: migration.number)


def read_migration(name: str, script: str) -> Migration:
    """A migration by its file's name and text."""
    said = _OLDEST.search(script)
    return Migration(
        number=int(name.split("_")[0]),
        name=name,
        script=script,
        checksum=hashlib.sha256(script.encode()).hexdigest(),
        oldest=int(said[1]) if said else 0,
    )


async def compare(connection: Any, known: Sequence[Migration] | None = None) -> Standing:
    """What `migrate` would apply, and what a newer program has applied.

    Raises:
        SchemaError: the database is too new for this program, or was migrated by files that differ from ours.
    """
    known = load_migrations() if known is None else known
    applied = await _applied(connection, known)
    ours = {migration.number for migration in known}
    return Standing(
        pending=tuple(migration.name for migration in known if migration.number not in applied),
        newer=tuple(name for number, name in applied.items() if number not in ours),
    )


async def migrate(connection: Any, known: Sequence[Migration] | None = None) -> list[str]:
    """Bring the database up to this program; the second time changes nothing.

    The application's tables are created where they are missing and adopted where they exist. Triggers
    that were lost (a table made anew) are put back.

    Args:
        connection: outside of a transaction, of a role that may create a schema.
        known: the program's migrations, in order; None for this program's.

    Returns:
        Names of the migrations applied now.

    Raises:
        SchemaError: nothing or only whole migrations were applied; the message says what to mend.
    """
    known = load_migrations() if known is None else known
    newer = (await compare(connection, known)).newer
    if newer:
        log.warning("database_newer", unknown=list(newer))
    await check_application_tables(connection)
    done = [
        one.name
        for one in known
        if await _patiently(connection, one.name, partial(_apply, connection, one, known))
    ]
    if done:
        log.info("migrated", applied=done)
    # A transaction for each table: whoever waits for one holds no other that somebody may want meanwhile.
    attached = [
        table
        for table in TRIGGERED_TABLES
        if await _patiently(connection, f"triggers of {table}", partial(_attach, connection, table))
    ]
    if attached:
        log.info("triggers_attached", tables=attached)
    return done


async def _patiently(connection: Any, what: str, work: Callable[[], Awaitable[bool]]) -> bool:
    """Do it in a transaction of its own that nobody waits behind for long, again until it is done."""
    attempt = rounds = 0
    while True:
        try:
            async with connection.transaction():
                wait = _LOCK_WAITS[attempt % len(_LOCK_WAITS)]
                await connection.execute(QUERIES["limit_migration"].format(wait=wait))
                if await connection.fetchval(QUERIES["lock_migrations"]):
                    return await work()
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            attempt += 1
            if attempt == _ATTEMPTS:
                raise SchemaError(
                    "a table stays locked by another transaction, so the database cannot be migrated: end "
                    "that transaction (pg_stat_activity shows it) and start again"
                ) from error
        except asyncpg.InsufficientPrivilegeError as error:
            raise SchemaError(
                f"this role may not migrate the database ({error}): grant it CREATE on the database and the "
                "schema, and TRIGGER on ai_servers, llm_api_keys and active_providers"
            ) from error
        # Another program that migrates is waited for as long as it takes: its locks are as bounded as ours.
        if rounds % _SAID_EACH == 0:
            log.warning("migration_waits_for_a_lock", migration=what)
        rounds += 1
        await asyncio.sleep(_PAUSE_SECONDS)


async def _apply(connection: Any, migration: Migration, known: Sequence[Migration]) -> bool:
    if not await connection.fetchval(QUERIES["has_ledger"]):
        if not await connection.fetchval(QUERIES["has_schema"]):
            await connection.execute(QUERIES["create_schema"])
        await connection.execute(QUERIES["create_ledger"])
    if migration.number in await _applied(connection, known):
        return False
    # A time, since None means the connection's own limit of a statement, made for short ones.
    await connection.execute(migration.script, timeout=_LONGEST_SCRIPT_SECONDS)
    await connection.execute(QUERIES["write_ledger"], migration.number, migration.name, migration.checksum)
    if migration.oldest:
        await connection.execute(QUERIES["write_oldest"], migration.number, migration.oldest)
    return True


async def _attach(connection: Any, table: str) -> bool:
    return bool(await connection.fetchval(QUERIES["attach_triggers"], table))


async def _applied(connection: Any, known: Sequence[Migration]) -> Mapping[int, str]:
    """Numbers and names of the ledger, after a look at whether this program can live with them."""
    if not await connection.fetchval(QUERIES["has_ledger"]):
        return {}
    applied = {row["number"]: row for row in await connection.fetch(QUERIES["read_ledger"])}
    ours = {migration.number: migration for migration in known}
    last = max(ours)
    for number, row in applied.items():
        if number not in ours and (number < last or row["oldest"] > last):
            raise SchemaError(
                f"the database was migrated by a newer release, and {row['name']} took away what this "
                "program needs: install the newer release, or restore a backup from before it"
            )
        if number in ours and ours[number].checksum != row["checksum"]:
            raise SchemaError(
                f"the database was migrated by another {row['name']} than this program's: install the "
                "release that migrated it, or drop the schema monitor (our history goes, the application's "
                "tables stay) and migrate again"
            )
    return {number: row["name"] for number, row in applied.items()}
