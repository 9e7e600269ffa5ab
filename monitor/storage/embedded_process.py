"""One process of PostgreSQL as our child: begun, awaited, ended, and what it had to say."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO

import structlog

from monitor.storage import embedded_child
from monitor.storage.embedded_folder import Account, EmbeddedError, Folder, open_in
from monitor.storage.embedded_processes import read_pid_file

START_SECONDS = 60.0
STOP_SECONDS = 20.0
_LOG_BYTES = 4_000_000

log = structlog.get_logger()


def spawn(
    argv: list[str], account: Account, cwd: Path, death: signal.Signals, output: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a program of PostgreSQL with fewer rights, in a session of its own, from a lasting thread.

    Args:
        argv: the program and its arguments.
        account: whom to run as.
        cwd: its working directory.
        death: what it is sent when we die (Linux).
        output: takes what it prints.
    """
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


async def finished(process: subprocess.Popen[bytes], patience: float) -> int | None:
    """The exit status, or None when it still runs after `patience` seconds."""
    deadline = asyncio.get_running_loop().time() + patience
    while process.poll() is None:
        if asyncio.get_running_loop().time() > deadline:
            return None
        await asyncio.sleep(0.02)
    return process.returncode


async def end(process: subprocess.Popen[bytes], patience_seconds: float = STOP_SECONDS) -> None:
    """Shut it down: politely for so long, then without a checkpoint, then at once."""
    for number, patience in (
        (signal.SIGINT, patience_seconds),
        (signal.SIGQUIT, min(patience_seconds, 5.0)),
        (signal.SIGKILL, 5.0),
    ):
        if process.poll() is None:
            process.send_signal(number)
        if await finished(process, patience) is not None:
            return
        log.warning("embedded_postgres_does_not_stop", pid=process.pid, signal=number.name)


async def wait_until_ready(process: subprocess.Popen[bytes], folder: Folder) -> None:
    """Return when it accepts connections.

    Raises:
        EmbeddedError: it ended, or takes too long.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + START_SECONDS
    while loop.time() < deadline:
        status = process.poll()
        if status is not None:
            raise EmbeddedError(
                f"PostgreSQL does not start in {folder.path} ({status}): {last_words(folder.log)}"
            )
        written = read_pid_file(folder.pid_file)
        if written is not None and written.pid == process.pid and written.ready:
            return
        await asyncio.sleep(0.02)
    raise EmbeddedError(
        f"PostgreSQL in {folder.path} is not ready after {START_SECONDS:.0f} s; see {folder.log}"
    )


def open_log(folder: Folder) -> IO[bytes]:
    """The log, for a child to append to."""
    return os.fdopen(open_in(folder, folder.log, os.O_WRONLY | os.O_APPEND), "ab", buffering=0)


def bound_log(folder: Folder) -> None:
    """Keep one older log and empty this one in place: PostgreSQL holds it open, and appends."""
    older = folder.log.with_name(f"{folder.log.name}.1")
    with os.fdopen(open_in(folder, folder.log, os.O_RDWR), "r+b") as log:
        if os.fstat(log.fileno()).st_size > _LOG_BYTES:
            older.unlink(missing_ok=True)  # one that others may read, or a link
            with os.fdopen(open_in(folder, older, os.O_WRONLY), "wb") as kept:
                shutil.copyfileobj(log, kept)
            os.ftruncate(log.fileno(), 0)


def last_words(path: Path) -> str:
    """The end of the log, in one line, for an error's message."""
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
