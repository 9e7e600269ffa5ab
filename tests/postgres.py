"""A PostgreSQL for the tests: one embedded server a run, one cloned database a test."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from monitor.storage import embedded_binaries
from monitor.storage.address import Address, connect
from monitor.storage.embedded import EmbeddedServer
from monitor.storage.migrations import migrate

TEMPLATE = "migrated"
EMPTY = "template0"

_numbers = count(1)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A new folder with a short path that every account may pass through (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp(prefix="lm-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def programs_of(package: Path | None) -> Iterator[None]:
    """Another PostgreSQL than the one that comes with us.

    Args:
        package: holds `pginstall/bin`; None for ours.
    """
    ours = embedded_binaries.find_package
    if package is not None:
        embedded_binaries.find_package = lambda: package
    try:
        yield
    finally:
        embedded_binaries.find_package = ours


@contextmanager
def running_server() -> Iterator[Address]:
    """A server with a migrated database, `TEMPLATE`; of the package that MONITOR_TEST_POSTGRES names."""
    named = os.environ.get("MONITOR_TEST_POSTGRES")
    with open_folder() as folder, programs_of(Path(named) if named else None):
        server = EmbeddedServer(folder / "data")
        address = asyncio.run(server.start())
        try:
            asyncio.run(_make_template(address))
            yield address
        finally:
            asyncio.run(server.stop())


async def _make_template(address: Address) -> None:
    # This data need not outlive a power cut.
    await _execute(address, "ALTER SYSTEM SET fsync = off")
    await _execute(address, "ALTER SYSTEM SET full_page_writes = off")
    await _execute(address, "SELECT pg_reload_conf()")
    await _execute(address, f"CREATE DATABASE {TEMPLATE}")
    connection = await connect(address.with_database(TEMPLATE))
    try:
        await migrate(connection)
    finally:
        await connection.close()


async def clone(address: Address, template: str = TEMPLATE) -> Address:
    """A new database, a copy of the template."""
    name = f"test_{next(_numbers)}"
    await _execute(address, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    return address.with_database(name)


async def drop(address: Address) -> None:
    """Remove a cloned database, whoever is still connected."""
    await _execute(address.with_database("monitor"), f"DROP DATABASE {address.database} WITH (FORCE)")


async def _execute(address: Address, statement: str) -> None:
    connection = await connect(address)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
