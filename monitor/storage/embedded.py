"""PostgreSQL as a part of the daemon: made on first use, one owner, gone when its owner is gone."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import asyncpg
import structlog

from monitor.storage import embedded_child
from monitor.storage.address import Address, connect
from monitor.storage.embedded_binaries import Binaries, prepare_binaries
from monitor.storage.embedded_folder import (
    SOCKET_NAME,
    Account,
    EmbeddedError,
    EmbeddedNotRunning,
    Folder,
    choose_account,
    open_folders,
    take_lock,
)
from monitor.storage.embedded_processes import is_alive, pid_is_taken, processes_in, read_pid_file, send
from monitor.storage.embedded_settings import INITDB_OPTIONS, NAME, server_options

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.25
_LOG_BYTES = 4_000_000
_PREDECESSOR_HINT_SECONDS = 2.0

log = structlog.get_logger()


def attach(data_dir: Path) -> Address:
    """The address of the PostgreSQL that another process runs in this folder.

    Raises:
        EmbeddedNotRunning: nobody runs it, or it does not answer yet.
        EmbeddedError: the folder cannot be read.
    """
    folder = Folder(data_dir.resolve())
    try:
        written = read_pid_file(folder.pid_file)
    except OSError as error:
        raise EmbeddedError(
            f"cannot read {folder.pid_file}: {error.strerror}; run as the daemon's account"
        ) from error
    if (
        written is None
        or not written.ready
        or written.socket_folder is None
        or not _answers(written.socket_folder)
    ):
        raise EmbeddedNotRunning(
            f"no PostgreSQL runs in {folder.path}: start `llm-monitor run`, "
            "or name the right folder in MONITOR_DATA_DIR or a database in DATABASE_URL"
        )
    return _address(written.socket_folder)


def _address(sockets: Path) -> Address:
    return Address(host=str(sockets), port=5432, user=NAME, database=NAME)


def _answers(sockets: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(2.0)
        try:
            door.connect(str(sockets / SOCKET_NAME))
        except OSError:
            return False
        return True


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
        self._foreign_pid: int | None = None

    @property
    def owned(self) -> bool:
        """Whether we run it; False when another process does and we only use it."""
        return self._lock is not None

    async def start(self) -> Address:
        """Run PostgreSQL, or find the one that another process runs; also after it has died.

        Raises:
            EmbeddedError: it cannot run here; the message says why and what to do.
        """
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        try:
            folder = self._open()
            while self._lock is None:
                self._lock = take_lock(folder)
                if self._lock is None:
                    address = self._attach(folder, last_try=asyncio.get_running_loop().time() > deadline)
                    if address is not None:
                        return address
                    await asyncio.sleep(_LOOK_SECONDS)
            self._foreign_pid = None
            return await self._start_own(folder)
        except OSError as error:
            await self.stop()
            raise EmbeddedError(_explain(error, self._given)) from error
        except BaseException:
            await self.stop()
            raise

    async def wait_exited(self) -> None:
        """Return when PostgreSQL is gone; keeps its log within bounds meanwhile."""
        rounds = 0
        while self._runs():
            await asyncio.sleep(_LOOK_SECONDS)
            rounds += 1
            if self._process is not None and rounds % 240 == 0:
                _bound_log(Folder(self._given.resolve()).log)

    async def stop(self) -> None:
        """Shut down what we run (nothing, when another process does) and give up the folder."""
        process, self._process = self._process, None
        self._foreign_pid = None
        try:
            if process is not None:
                await _end(process)
                sockets = Folder(self._given.resolve()).socket_folder()
                if sockets.parent != self._given.resolve():
                    with suppress(OSError):
                        sockets.rmdir()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _runs(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self._foreign_pid is not None and is_alive(self._foreign_pid)

    def _attach(self, folder: Folder, *, last_try: bool) -> Address | None:
        """The owner's PostgreSQL, or None while it is not ready (it may be ending, too)."""
        try:
            address = attach(folder.path)
        except EmbeddedNotRunning as error:
            if last_try:
                raise EmbeddedError(
                    f"another process owns {folder.path}, but its PostgreSQL does not answer"
                ) from error
            return None
        written = read_pid_file(folder.pid_file)
        self._foreign_pid = written.pid if written is not None else None
        return address

    def _open(self) -> Folder:
        self._given.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Folder(self._given.resolve())

    async def _start_own(self, folder: Folder) -> Address:
        if self._process is not None:
            await _end(self._process)
            self._process = None
        account = choose_account(folder, self._group)
        sockets = open_folders(folder, account)
        binaries = await asyncio.to_thread(prepare_binaries, folder, account)
        await _wait_until_gone(folder.unfinished)
        await _wait_until_gone(folder.cluster)
        if not folder.cluster.exists():
            await _initialise(folder, account, binaries)
        _check_version(folder, binaries)
        _remove_stale_pid_file(folder)
        _bound_log(folder.log)
        options = server_options(folder.cluster, sockets, binaries.major, self._group)
        with _open_log(folder) as output:
            self._process = _spawn(
                [str(binaries.postgres), *options], account, folder.cluster, signal.SIGINT, output
            )
        await _wait_until_ready(self._process, folder)
        address = _address(sockets)
        await _ensure_database(address)
        log.info(
            "embedded_postgres_started", folder=str(folder.path), pid=self._process.pid, major=binaries.major
        )
        return address


def _spawn(
    argv: list[str], account: Account, cwd: Path, death: signal.Signals, output: IO[bytes]
) -> subprocess.Popen[bytes]:
    groups = "" if account.shared_gid is None else str(account.shared_gid)
    identity = [str(account.uid), str(account.gid)] if account.drop else ["-1", "-1"]
    # Nothing of our environment: it holds keys, and PG... variables would steer it elsewhere.
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    launcher = [sys.executable, "-I", "-S", str(Path(embedded_child.__file__).resolve())]
    return subprocess.Popen(
        [*launcher, str(os.getpid()), *identity, groups, str(int(death)), *argv],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C on the terminal is ours to answer
    )


async def _initialise(folder: Folder, account: Account, binaries: Binaries) -> None:
    await asyncio.to_thread(shutil.rmtree, folder.unfinished, ignore_errors=True)
    folder.unfinished.mkdir(mode=0o700)
    if account.drop:
        os.chown(folder.unfinished, account.uid, account.gid)
    argv = [str(binaries.initdb), "--pgdata", str(folder.unfinished), *INITDB_OPTIONS]
    with _open_log(folder) as output:
        process = _spawn(argv, account, folder.unfinished, signal.SIGKILL, output)
    try:
        status = await _finished(process, _START_SECONDS)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if status != 0:
        process.kill()
        process.wait()
        raise EmbeddedError(
            f"PostgreSQL could not make its files in {folder.path}: {_last_words(folder.log)}"
        )
    folder.unfinished.rename(folder.cluster)
    descriptor = os.open(folder.path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _wait_until_ready(process: subprocess.Popen[bytes], folder: Folder) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _START_SECONDS
    while loop.time() < deadline:
        status = process.poll()
        if status is not None:
            raise EmbeddedError(
                f"PostgreSQL does not start in {folder.path} ({status}): {_last_words(folder.log)}"
            )
        written = read_pid_file(folder.pid_file)
        if written is not None and written.pid == process.pid and written.ready:
            return
        await asyncio.sleep(0.02)
    raise EmbeddedError(
        f"PostgreSQL in {folder.path} is not ready after {_START_SECONDS:.0f} s; see {folder.log}"
    )


async def _wait_until_gone(cluster: Path) -> None:
    """Let a predecessor's PostgreSQL finish: the kernel has told it, or we do."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    told: signal.Signals | None = None
    while pids := processes_in(cluster):
        waited = loop.time() - begun
        if waited > _START_SECONDS:
            raise EmbeddedError(
                f"a PostgreSQL in {cluster} does not end (process {pids[0]}): stop it, then start again"
            )
        hint = signal.SIGINT if waited < _STOP_SECONDS else signal.SIGQUIT
        if waited > _PREDECESSOR_HINT_SECONDS and told != hint:
            log.warning("embedded_postgres_left_over", folder=str(cluster), pids=pids, signal=hint.name)
            send(pids, hint)
            told = hint
        await asyncio.sleep(0.05)


def _remove_stale_pid_file(folder: Folder) -> None:
    """Nothing of ours runs there; PostgreSQL would take a stranger or a zombie of that number for its own."""
    written = read_pid_file(folder.pid_file)
    if written is not None and pid_is_taken(written.pid):
        log.warning("embedded_postgres_stale_pid_file", folder=str(folder.path), pid=written.pid)
        folder.pid_file.unlink()


def _check_version(folder: Folder, binaries: Binaries) -> None:
    found = (folder.cluster / "PG_VERSION").read_text().strip()
    if found != str(binaries.major):
        raise EmbeddedError(
            f"{folder.cluster} was made by PostgreSQL {found}, and this release brings {binaries.major}. "
            "To upgrade: run the release that made it and save the data with pg_dump; "
            f"then move {folder.cluster} away, start this release, and load the saved data with psql"
        )


async def _ensure_database(address: Address) -> None:
    try:
        await (await connect(address)).close()
    except asyncpg.InvalidCatalogNameError:
        connection = await connect(address.with_database("postgres"))
        try:
            # The role shares its name with our schema, which "$user" would otherwise put in front.
            await connection.execute(f"ALTER ROLE {NAME} SET search_path = public")
            await connection.execute(f"CREATE DATABASE {NAME}")
        finally:
            await connection.close()


async def _end(process: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        if process.poll() is None:
            process.send_signal(number)
        if await _finished(process, patience) is not None:
            return
        log.warning("embedded_postgres_does_not_stop", pid=process.pid, signal=number.name)


async def _finished(process: subprocess.Popen[bytes], patience: float) -> int | None:
    deadline = asyncio.get_running_loop().time() + patience
    while process.poll() is None:
        if asyncio.get_running_loop().time() > deadline:
            return None
        await asyncio.sleep(0.02)
    return process.returncode


def _open_log(folder: Folder) -> IO[bytes]:
    descriptor = os.open(folder.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "ab", buffering=0)


def _bound_log(path: Path) -> None:
    """Keep one older log and empty this one in place: PostgreSQL holds it open, and appends."""
    with suppress(FileNotFoundError):
        if path.stat().st_size > _LOG_BYTES:
            shutil.copyfile(path, path.with_name(path.name + ".1"))
            os.truncate(path, 0)


def _last_words(path: Path) -> str:
    with suppress(OSError):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 2000))
            lines = [
                line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()
            ]
        telling = [
            line
            for line in lines
            if any(word in line for word in ("FATAL", "PANIC", "error", "ERROR", "cannot"))
        ]
        return f"{' / '.join((telling or lines)[-3:])} (all of it in {path})"
    return f"see {path}"


def _explain(error: OSError, folder: Path) -> str:
    what = error.strerror or str(error)
    where = error.filename or folder
    mend = "free space, mend its owner and mode, or name another folder in MONITOR_DATA_DIR"
    return f"cannot use {where}: {what}; {mend}"
