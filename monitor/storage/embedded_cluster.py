"""PostgreSQL's data directory: made whole or not at all, and free of predecessors before it is used."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import structlog

from monitor.storage.embedded_binaries import Binaries
from monitor.storage.embedded_folder import Account, EmbeddedError, Folder
from monitor.storage.embedded_process import (
    START_SECONDS,
    STOP_SECONDS,
    finished,
    last_words,
    open_log,
    spawn,
)
from monitor.storage.embedded_processes import pid_is_taken, processes_in, read_pid_file, send
from monitor.storage.embedded_settings import INITDB_OPTIONS

_PREDECESSOR_HINT_SECONDS = 2.0

log = structlog.get_logger()


async def initialise(folder: Folder, account: Account, binaries: Binaries) -> None:
    """Make the cluster beside its place and then rename it: one that was interrupted is begun anew.

    Raises:
        EmbeddedError: initdb failed.
    """
    await asyncio.to_thread(shutil.rmtree, folder.unfinished, ignore_errors=True)
    folder.unfinished.mkdir(mode=0o700)
    if account.drop:
        os.chown(folder.unfinished, account.uid, account.gid, follow_symlinks=False)
    argv = [str(binaries.initdb), "--pgdata", str(folder.unfinished), *INITDB_OPTIONS]
    with open_log(folder) as output:
        process = spawn(argv, account, folder.unfinished, signal.SIGKILL, output)
    try:
        status = await finished(process, START_SECONDS)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if status != 0:
        process.kill()
        process.wait()
        raise EmbeddedError(f"PostgreSQL could not make its files in {folder.path}: {last_words(folder.log)}")
    take_place(folder.unfinished, folder.cluster)


def take_place(made: Path, place: Path) -> None:
    """Give a whole cluster its name, for good."""
    made.rename(place)
    descriptor = os.open(place.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_half_restored(folder: Folder) -> None:
    """Begin no empty database where a restored one was on its way.

    Raises:
        EmbeddedError: with both ways on.
    """
    for left in (folder.restoring.cluster, folder.restoring.unfinished):
        if left.exists():
            raise EmbeddedError(
                f"a restore into {folder.path} was broken off: run llm-monitor restore again, "
                f"or remove {left} to begin with an empty database"
            )


async def wait_until_gone(cluster: Path) -> None:
    """Let a predecessor's PostgreSQL finish: the kernel has told it, or we do."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    told: signal.Signals | None = None
    while pids := processes_in(cluster):
        waited = loop.time() - begun
        if waited > START_SECONDS:
            raise EmbeddedError(
                f"a PostgreSQL in {cluster} does not end (process {pids[0]}): stop it, then start again"
            )
        hint = signal.SIGINT if waited < STOP_SECONDS else signal.SIGQUIT
        if waited > _PREDECESSOR_HINT_SECONDS and told != hint:
            log.warning("embedded_postgres_left_over", folder=str(cluster), pids=pids, signal=hint.name)
            send(pids, hint)
            told = hint
        await asyncio.sleep(0.05)


def remove_stale_pid_file(folder: Folder) -> None:
    """Nothing of ours runs there; PostgreSQL would take a stranger or a zombie of that number for its own."""
    written = read_pid_file(folder.pid_file)
    if written is not None and pid_is_taken(written.pid):
        log.warning("embedded_postgres_stale_pid_file", folder=str(folder.path), pid=written.pid)
        folder.pid_file.unlink()


def check_version(folder: Folder, binaries: Binaries) -> None:
    """Refuse a cluster of another major version.

    Raises:
        EmbeddedError: with the way to upgrade.
    """
    found = (folder.cluster / "PG_VERSION").read_text().strip()
    if found != str(binaries.major):
        raise EmbeddedError(
            f"{folder.cluster} was made by PostgreSQL {found}, and this release brings {binaries.major}: "
            "run the release that made it and save the database with llm-monitor backup FILE; then move "
            f"{folder.cluster} away and load it with this release: llm-monitor restore FILE"
        )
