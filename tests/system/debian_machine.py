"""A machine of its own that a real systemd runs: a Debian tree booted in a container."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.system.packages import installed

_BOOT_SECONDS = 60.0
_STOP_SECONDS = 30.0
_RETRY_SECONDS = 0.1
_HIERARCHIES = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified"))
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Machine:
    """One that runs.

    Attributes:
        tree: what it was booted from; its own changes lie over it, in memory.
        init: the process id of its systemd, as we see it.
    """

    tree: Path
    init: int

    def run(
        self,
        *command: str,
        code: int | None = 0,
        feed: str | None = None,
        seconds: float = 60,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """Run a command to its end, as root; gives what it says, errors included.

        Args:
            command: the program and its arguments.
            code: the exit code that it must have; None for any.
            feed: its standard input.
            seconds: how long it may take.
            environment: variables besides the usual ones.
        """
        done = subprocess.run(
            [installed("nsenter", "util-linux"), "--target", str(self.init), "--all", *command],
            env={**_ENVIRONMENT, **(environment or {})},
            input=feed,
            stdin=subprocess.DEVNULL if feed is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{command} ended with {done.returncode}: {done.stdout}"
        )
        return done.stdout

    def write(self, path: str, content: str, mode: int = 0o644) -> None:
        """Write a file, its folder included."""
        script = 'mkdir -p "$(dirname "$1")" && rm -f "$1" && umask 077 && cat >"$1" && chmod "$2" "$1"'
        self.run("sh", "-c", script, "sh", path, f"{mode:o}", feed=content)

    def until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until something holds; fails with the journal's end when it never does."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                journal = self.run("journalctl", "--no-pager", "--lines=60", "--output=cat")
                raise AssertionError(f"{what} did not come within {seconds} s:\n{journal}")
            time.sleep(_RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class Unit:
    """One of its services."""

    machine: Machine
    name: str

    def systemctl(self, verb: str, *more: str, code: int | None = 0, seconds: float = 60) -> str:
        """What `systemctl VERB` says of it."""
        return self.machine.run("systemctl", verb, *more, self.name, code=code, seconds=seconds)

    def show(self, name: str) -> str:
        """One of its properties."""
        return self.systemctl("show", f"--property={name}", "--value").strip()

    def process(self) -> str:
        """Its main process, as the machine numbers it; 0 for none."""
        return self.show("MainPID")

    def journal(self, since: str = "") -> str:
        """What it wrote and what systemd wrote of it, from a moment on that `now` gave."""
        more = [f"--after-cursor={since}"] if since else []
        return self.machine.run("journalctl", "--no-pager", "--output=cat", f"--unit={self.name}", *more)

    def now(self) -> str:
        """This moment in the journal."""
        told = self.machine.run("journalctl", "--no-pager", "--lines=0", "--show-cursor")
        found = re.search(r"^-- cursor: (.*)$", told, re.MULTILINE)
        assert found is not None, told
        return found[1]


@contextmanager
def booted(tree: Path, folder: Path, binds: Mapping[Path, str]) -> Iterator[Machine]:
    """Boot a tree, which stays as it is, and halt the machine at the end.

    Args:
        tree: has systemd.
        folder: of the test's own; the console's output is there.
        binds: folders of ours and where the machine sees them, to read.
    """
    name = f"llm-monitor-{os.getpid()}"
    command = [
        installed("systemd-nspawn", "systemd-container"),
        "--boot",
        "--quiet",
        f"--directory={tree}",
        "--volatile=overlay",
        f"--machine={name}",
        # Nobody here keeps a list of machines, and the machine needs no unit around it.
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--private-network",
        "--console=read-only",
        *(f"--bind-ro={source}:{place}" for source, place in binds.items()),
    ]
    console = folder / "console"
    groups = _own_groups(name)
    enter = 'for one in $0; do echo $$ >"$one/cgroup.procs"; done; exec "$@"'
    with console.open("wb") as output:
        process = subprocess.Popen(
            ["/bin/sh", "-c", enter, " ".join(map(str, groups)), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        machine = Machine(tree, _init_of(process, console))
        state = machine.run("systemctl", "is-system-running", "--wait", code=None, seconds=_BOOT_SECONDS)
        assert state.strip() == "running", machine.run("systemctl", "--failed", "--no-pager")
        yield machine
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # It leaves that behind where /run is no file system of its own.
        shutil.rmtree(f"/run/systemd/nspawn/propagate/{name}", ignore_errors=True)
        for group in groups:
            for inner in (*sorted(group.rglob("*"), reverse=True), group):
                if inner.is_dir():
                    inner.rmdir()


def _own_groups(name: str) -> list[Path]:
    """A control group in each hierarchy of systemd: within ours it would share those of another machine."""
    found = []
    for hierarchy in _HIERARCHIES:
        if (hierarchy / "cgroup.procs").exists():
            found.append(hierarchy / name)
            found[-1].mkdir()
    return found


def _init_of(process: subprocess.Popen[bytes], console: Path) -> int:
    """The process id of the machine's systemd, as soon as it can be talked to."""
    deadline = time.monotonic() + _BOOT_SECONDS
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while time.monotonic() < deadline:
        assert process.poll() is None, console.read_text(errors="replace")
        for child in children.read_text().split():
            bus = Path(f"/proc/{child}/root/run/systemd/private")
            if bus.exists():
                return int(child)
        time.sleep(_RETRY_SECONDS)
    raise AssertionError(f"systemd did not come up:\n{console.read_text(errors='replace')}")
