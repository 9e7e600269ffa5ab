"""Which PostgreSQL processes live in a folder, whatever a pid file says."""

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_PROGRAMS = ("postgres", "initdb")


@dataclass(frozen=True, slots=True, kw_only=True)
class PidFile:
    """What `postmaster.pid` says.

    Attributes:
        pid: of the postmaster that wrote it; it may be dead, and its number may be another's by now.
        socket_folder: where it listens, None while it has not got so far.
        ready: it accepts connections.
    """

    pid: int
    socket_folder: Path | None
    ready: bool


def read_pid_file(path: Path) -> PidFile | None:
    """None when there is no such file, or one that was cut short.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].strip().isdecimal():
        return None
    socket_folder = Path(lines[4]) if len(lines) > 4 and lines[4] else None
    return PidFile(
        pid=int(lines[0]), socket_folder=socket_folder, ready=len(lines) > 7 and lines[7].strip() == "ready"
    )


def is_alive(pid: int) -> bool:
    """Whether a process of that number exists and is more than a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists, and belongs to another account
    with suppress(OSError, IndexError):
        # The name in parentheses may hold anything, parentheses too: the state follows the last one.
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[
            0
        ] not in "ZX"
    return True


def pid_is_taken(pid: int) -> bool:
    """Whether PostgreSQL, which knows neither names nor zombies, would believe that number to be its own."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def processes_in(cluster: Path) -> list[int]:
    """Every PostgreSQL process of this cluster, orphaned backends too: they have it as working directory."""
    try:
        wanted = cluster.stat()
    except FileNotFoundError:
        return []
    if not (_PROC / "self").exists():
        return _postmaster_without_proc(cluster)
    found = []
    for process in _PROC.iterdir():
        if not process.name.isdecimal():
            continue
        with suppress(OSError):
            here = (process / "cwd").stat()
            name = (process / "comm").read_text(errors="replace")
            if (here.st_dev, here.st_ino) == (wanted.st_dev, wanted.st_ino) and name.startswith(_PROGRAMS):
                found.append(int(process.name))
    return found


def _postmaster_without_proc(cluster: Path) -> list[int]:
    written = read_pid_file(cluster / "postmaster.pid")
    if written is None:
        return []
    answer = subprocess.run(
        ["ps", "-o", "state=,command=", "-p", str(written.pid)],  # noqa: S607 - macOS has it in /bin
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return [written.pid] if str(cluster) in answer and not answer.startswith("Z") else []


def send(pids: list[int], number: signal.Signals) -> None:
    """Signal each that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
