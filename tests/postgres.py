"""A PostgreSQL for the tests: one embedded server a run, one cloned database a test."""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psutil

from monitor.storage import embedded_binaries
from monitor.storage.address import Address, connect
from monitor.storage.embedded import EmbeddedServer
from monitor.storage.embedded_processes import is_alive
from monitor.storage.migrations import migrate

TEMPLATE = "migrated"
EMPTY = "template0"

DISK, MEMORY = Path("/tmp"), Path("/dev/shm")  # noqa: S108 - each folder in them is new, and its name unknown
ROOMY_BYTES = 4e9

_numbers = count(1)


def roomy_place() -> Path:
    """Memory, where there is much of it and programs may run there; else a disk.

    A database is some hundred files, and making one takes a disk's file system up to ten times as long.
    """
    if sys.platform == "linux" and MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
        found = os.statvfs(MEMORY)
        free = min(found.f_bavail * found.f_frsize, psutil.virtual_memory().available)
        if free >= ROOMY_BYTES and not found.f_flag & os.ST_NOEXEC:
            return MEMORY
    return DISK


@contextmanager
def open_folder(place: Path | None = None) -> Iterator[Path]:
    """A new folder with a short path that every account may pass through (pytest's own are private).

    Args:
        place: where; None for wherever it takes least time.
    """
    folder = Path(tempfile.mkdtemp(prefix="lm-", dir=place or roomy_place()))
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


async def until_gone(pid: int) -> None:
    """Wait until a process that was killed is gone."""
    async with asyncio.timeout(30):
        while is_alive(pid):  # noqa: ASYNC110 - another process, which sets no event
            await asyncio.sleep(0.05)
