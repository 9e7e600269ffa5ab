"""The embedded database saved into one file while it is in use, and a new cluster made from such a file."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor.storage.address import Address, connect
from monitor.storage.application_tables import SchemaError
from monitor.storage.backup_file import DUMP, KEY, Backup, BackupError, Manifest, Role, write_backup
from monitor.storage.embedded import ensure_database, explain_unusable
from monitor.storage.embedded_attach import address_in
from monitor.storage.embedded_binaries import Binaries, bundled_major, prepare_binaries
from monitor.storage.embedded_cluster import initialise, take_place, wait_until_gone
from monitor.storage.embedded_folder import (
    Account,
    EmbeddedError,
    Folder,
    can_enter,
    choose_account,
    open_folders,
    take_lock,
)
from monitor.storage.embedded_process import end, open_log, spawn, wait_until_ready
from monitor.storage.embedded_settings import server_options
from monitor.storage.embedded_tools import dump, load
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.migrations import load_migrations
from monitor.storage.queries import QUERIES


async def save(
    connection: Any,
    address: Address,
    path: Path,
    *,
    now: datetime,
    program: str,
    keys: Callable[[], Sequence[str]],
    elsewhere: str | None,
    force: bool,
) -> Manifest:
    """Write the database as it is at one instant; others read and write on.

    Args:
        connection: to it, outside of a transaction.
        address: of it, on a socket.
        path: the file to write.
        now: UTC.
        program: our version.
        keys: reads the encryption keys that go inside, the current one first; none where there is none yet.
        elsewhere: the manifest's word for where the key is when it shall not go inside; else None.
        force: replace a file that lies there.

    Raises:
        BackupError: the file can't be written.
        EmbeddedError: the database can't be read.
    """
    with write_backup(path, now=now, force=force) as writer:
        before = () if elsewhere else keys()
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await connection.fetchval(QUERIES["export_snapshot"])
            applied = await connection.fetch(QUERIES["read_ledger"])
            # A rotation puts its key into the file first and takes earlier ones out last: what has sealed the
            # rows of this instant was there before it, or is there after it.
            inside = () if elsewhere else tuple(dict.fromkeys((*keys(), *before)))
            manifest = Manifest(
                program=program,
                created_at=now.isoformat(timespec="seconds"),
                postgres=await connection.fetchval(QUERIES["read_postgres_version"]),
                migrations=[(row["number"], row["name"]) for row in applied],
                oldest=max((row["oldest"] for row in applied), default=0),
                key=elsewhere or ("inside" if inside else "none"),
                roles=[Role(**dict(row)) for row in await connection.fetch(QUERIES["read_roles"])],
            )
            async with aclosing(dump(address, snapshot)) as pieces:
                await writer.add(DUMP, pieces)
        if inside:
            writer.add_text(KEY, "".join(f"{key}\n" for key in inside).encode())
        return writer.finish(manifest)


async def other_databases(connection: Any) -> list[str]:
    """Databases of somebody else on the same server, which no backup of ours holds."""
    return [row["name"] for row in await connection.fetch(QUERIES["read_other_databases"])]


def check_fits(manifest: Manifest) -> None:
    """Whether this program can live with the database of a backup, and its PostgreSQL load it.

    Raises:
        BackupError, SchemaError: not so; the message names the release that can.
        EmbeddedError: it has no PostgreSQL that runs here.
    """
    last = max(migration.number for migration in load_migrations())
    if manifest.oldest > last:
        raise SchemaError(
            f"the backup is of a newer release ({manifest.program}), which took away what this program "
            f"needs: restore it with {manifest.program} or later"
        )
    major = bundled_major()
    if int(manifest.postgres.split(".")[0]) > major:
        raise BackupError(
            f"the backup is of PostgreSQL {manifest.postgres}, and this release brings {major}: "
            f"restore it with {manifest.program} or later"
        )


@contextmanager
def owned(data_dir: Path) -> Iterator[Folder]:
    """A data folder without a database in it, ours alone for as long as the block runs.

    Raises:
        EmbeddedError: somebody uses it, or a database is there.
    """
    folder, lock = _take(data_dir)
    if lock is None:
        raise EmbeddedError(f"a daemon uses {folder.path}: stop it first, as in systemctl stop llm-monitor")
    try:
        if folder.cluster.exists():
            raise EmbeddedError(
                f"{folder.cluster} holds a database already: move it away first "
                f"(mv {folder.cluster} {folder.cluster}.before), or name another folder by --data-dir"
            )
        yield folder
    finally:
        os.close(lock)


def _take(data_dir: Path) -> tuple[Folder, int | None]:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Folder(data_dir.resolve())
        return folder, take_lock(folder)
    except OSError as error:
        raise EmbeddedError(explain_unusable(error, data_dir)) from error


async def restore(folder: Folder, backup: Backup) -> None:
    """Make a cluster of a backup beside its place, and put it there when it is whole.

    Args:
        folder: owned.
        backup: checked.

    Raises:
        EmbeddedError: it failed, and there is no database still.
    """
    try:
        account = choose_account(folder, None)
        draft = _work_place(folder, account)
        for left in (draft.unfinished, draft.cluster):
            await wait_until_gone(left)
            await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
        _begin_elsewhere(folder, draft)
        sockets = open_folders(draft, account)
        binaries = await asyncio.to_thread(prepare_binaries, draft, account)
        await initialise(draft, account, binaries)
        async with _running(draft, account, binaries, sockets) as address:
            await _make_roles(address, backup.manifest.roles)
            await load(address, backup.pieces(DUMP))
            await _analyze(address)
        take_place(draft.cluster, folder.cluster)
        _end_elsewhere(folder, draft)
    except STORE_ERRORS as error:
        raise EmbeddedError(explain_unusable(error, folder.path)) from error


def _work_place(folder: Folder, account: Account) -> Folder:
    """Where the cluster is made: in the data folder, unless its owner can't get there by itself.

    That is so of a service whose account systemd makes for it: its folder lies where only root and the
    service itself can look. The nearest folder above that the account may pass through takes its place then,
    on the same disk, so that a rename still brings the cluster home.
    """
    if not account.drop or folder.path.stat().st_uid != account.uid or can_enter(folder.path, account):
        return folder.restoring
    device = folder.path.stat().st_dev
    for above in folder.path.parents:
        status = above.stat()
        if status.st_dev != device or status.st_uid != 0 or status.st_mode & 0o022:
            break
        if can_enter(above, account):
            return Folder(above / f".{folder.path.name}.restore", folder.restoring.name)
    return folder.restoring


def _begin_elsewhere(folder: Folder, draft: Folder) -> None:
    if draft.path != folder.path:
        shutil.rmtree(draft.path, ignore_errors=True)
        draft.path.mkdir(mode=0o711)
        folder.restoring.cluster.mkdir(exist_ok=True)  # so that `run` sees that something is on its way


def _end_elsewhere(folder: Folder, draft: Folder) -> None:
    if draft.path != folder.path:
        folder.restoring.cluster.rmdir()
        shutil.rmtree(draft.path, ignore_errors=True)


@asynccontextmanager
async def _running(
    draft: Folder, account: Account, binaries: Binaries, sockets: Path
) -> AsyncIterator[Address]:
    options = server_options(draft.cluster, sockets, binaries.major, None)
    with open_log(draft) as output:
        process = spawn([str(binaries.postgres), *options], account, draft.cluster, signal.SIGINT, output)
    try:
        await wait_until_ready(process, draft)
        address = address_in(sockets)
        await ensure_database(address)
        yield address
    finally:
        await end(process)
    if process.returncode:
        raise EmbeddedError(f"PostgreSQL did not end well ({process.returncode}); see {draft.log}")


async def _make_roles(address: Address, roles: Sequence[Role]) -> None:
    connection = await connect(address)
    try:
        for role in roles:
            name = '"' + role.name.replace('"', '""') + '"'
            login = "LOGIN" if role.login else "NOLOGIN"
            await connection.execute(QUERIES["create_role"].format(name=name, login=login))
    finally:
        await connection.close()


async def _analyze(address: Address) -> None:
    connection = await connect(address)
    try:
        await connection.execute(QUERIES["analyze"])
    finally:
        await connection.close()
