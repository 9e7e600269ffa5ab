"""PostgreSQL as a part of the daemon: made on first use, one owner, gone when its owner is gone."""

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import asyncpg
import structlog

from monitor.storage.address import Address, connect
from monitor.storage.embedded_attach import address_in
from monitor.storage.embedded_attach import attach as attach
from monitor.storage.embedded_binaries import prepare_binaries
from monitor.storage.embedded_cluster import (
    check_version,
    initialise,
    refuse_half_restored,
    remove_stale_pid_file,
    wait_until_gone,
)
from monitor.storage.embedded_folder import (
    EmbeddedError,
    EmbeddedNotRunning,
    Folder,
    choose_account,
    open_folders,
    take_lock,
)
from monitor.storage.embedded_process import (
    START_SECONDS,
    STOP_SECONDS,
    bound_log,
    end,
    open_log,
    spawn,
    wait_until_ready,
)
from monitor.storage.embedded_settings import server_options
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.queries import QUERIES

_LOOK_SECONDS = 0.25
LOG_SECONDS = 60.0

log = structlog.get_logger()


class EmbeddedServer:
    """The PostgreSQL in one data folder: run by us, or by whoever came first.

    Nothing in it belongs to an event loop, but `start` must be called from a thread that lives as long as
    PostgreSQL shall: the kernel tells the child of that thread's death (Linux). Without that (macOS) a
    PostgreSQL whose owner was killed goes on, and the next owner stops it before it starts its own.
    """

    def __init__(self, data_dir: Path, *, group: str | None = None) -> None:
        self._given = data_dir
        self._group = group
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def owned(self) -> bool:
        """Whether we run it; False when another process does and we only use it."""
        return self._lock is not None

    async def start(self) -> Address:
        """Run PostgreSQL, or find the one that another process runs; again, too, after it has died.

        Raises:
            EmbeddedError: it cannot run here; the message says why and what to do.
        """
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        try:
            folder = self._open()
            while self._lock is None:
                self._lock = take_lock(folder)
                if self._lock is None:
                    address = await self._attach(folder)
                    if address is not None:
                        return address
                    _give_up_after(deadline, folder)
                    await asyncio.sleep(_LOOK_SECONDS)
            return await self._start_own(folder)
        except STORE_ERRORS as error:
            await self.stop()
            raise EmbeddedError(explain_unusable(error, self._given)) from error
        except BaseException:
            await self.stop()
            raise

    async def keep_log_bounded(self, every_seconds: float = LOG_SECONDS) -> None:
        """Keep the log of what we run within bounds, until cancelled.

        Args:
            every_seconds: how often to look.
        """
        while True:
            await asyncio.sleep(every_seconds)
            if self._process is not None:
                try:
                    await asyncio.to_thread(bound_log, Folder(self._given.resolve()))
                except OSError as error:
                    log.warning("postgres_log_not_bounded", reason=str(error))

    async def stop(self, *, patience_seconds: float = STOP_SECONDS) -> None:
        """Shut down what we run (nothing, when another process does) and give up the folder.

        Args:
            patience_seconds: how long it may take to end in order; after that it recovers at the next start.
        """
        process, self._process = self._process, None
        try:
            if process is not None:
                await end(process, patience_seconds)
                sockets = Folder(self._given.resolve()).socket_folder()
                if sockets.parent != self._given.resolve():
                    with suppress(OSError):
                        sockets.rmdir()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    async def _attach(self, folder: Folder) -> Address | None:
        """The owner's PostgreSQL, or None while it does not serve: starting, or ending with its owner."""
        try:
            address = attach(folder.path)
            await (await connect(address)).close()
        except (EmbeddedNotRunning, *STORE_ERRORS):
            return None
        return address

    def _open(self) -> Folder:
        self._given.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Folder(self._given.resolve())

    async def _start_own(self, folder: Folder) -> Address:
        if self._process is not None:
            if self._process.poll() is None:
                return address_in(folder.socket_folder())
            self._process = None
        account = choose_account(folder, self._group)
        sockets = open_folders(folder, account)
        binaries = await asyncio.to_thread(prepare_binaries, folder, account)
        await wait_until_gone(folder.unfinished)
        await wait_until_gone(folder.cluster)
        if not folder.cluster.exists():
            refuse_half_restored(folder)
            await initialise(folder, account, binaries)
        check_version(folder, binaries)
        remove_stale_pid_file(folder)
        bound_log(folder)
        options = server_options(folder.cluster, sockets, binaries.major, self._group)
        with open_log(folder) as output:
            self._process = spawn(
                [str(binaries.postgres), *options], account, folder.cluster, signal.SIGINT, output
            )
        await wait_until_ready(self._process, folder)
        address = address_in(sockets)
        await ensure_database(address)
        log.info(
            "embedded_postgres_started", folder=str(folder.path), pid=self._process.pid, major=binaries.major
        )
        return address


def _give_up_after(deadline: float, folder: Folder) -> None:
    if asyncio.get_running_loop().time() > deadline:
        raise EmbeddedError(f"another process owns {folder.path}, but its PostgreSQL does not answer")


async def ensure_database(address: Address) -> None:
    """Make the database of a new cluster."""
    try:
        await (await connect(address)).close()
    except asyncpg.InvalidCatalogNameError:
        connection = await connect(address.with_database("postgres"))
        try:
            await connection.execute(QUERIES["settle_role"])
            await connection.execute(QUERIES["create_database"])
        finally:
            await connection.close()


def explain_unusable(error: Exception, folder: Path) -> str:
    """What keeps us from using a data folder, and the mend."""
    what, where = str(error) or type(error).__name__, folder
    if isinstance(error, OSError):
        what, where = error.strerror or what, error.filename or folder
    mend = "free space, mend its owner and mode, or name another folder in MONITOR_DATA_DIR"
    return f"cannot use {where}: {what}; {mend}"
