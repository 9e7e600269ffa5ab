"""Images and containers without an engine: buildah builds, runc runs, and nothing of either stays.

No daemon of an engine runs where the tests do, and podman wants cgroups that are delegated to it; what an
engine would hand to runc is made here from the image's own configuration.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.packages import installed

BASE = "localhost/base"
IMAGE = "localhost/llm-monitor"
_END_SECONDS = 20.0
_KINDS = ("bounding", "effective", "permitted", "inheritable", "ambient")


@dataclass(frozen=True, slots=True)
class Storage:
    """Images in a folder of their own."""

    folder: Path

    def buildah(self, *arguments: str, cwd: Path | None = None) -> str:
        """What buildah says."""
        done = subprocess.run(
            [
                *(installed("buildah"), f"--root={self.folder / 'root'}", f"--runroot={self.folder / 'run'}"),
                *arguments,
            ],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            # What a build that is broken off leaves of its containers lies within our folder, too.
            env=os.environ | {"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self.folder)},
        )
        assert done.returncode == 0, f"buildah {arguments}:\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def make_base(self, tree: Path) -> None:
        """A base image out of a tree."""
        container = self.buildah("from", "scratch")
        self.buildah("copy", "--quiet", container, str(tree), "/")
        self.buildah("commit", "--quiet", "--rm", container, BASE)

    def build(self, checkout: Path, wheels: Path) -> None:
        """The image of the Containerfile, by wheels of a folder instead of an index."""
        self.buildah(
            *("bud", "--quiet", "--format=docker", "--pull-never", f"--volume={wheels}:/wheels:ro"),
            *("--build-arg=PIP_NO_INDEX=1", "--build-arg=PIP_FIND_LINKS=/wheels"),
            *(f"--build-arg=BASE={BASE}", "--build-arg=VERSION=7.7.7", "--file=Containerfile"),
            *(f"--tag={IMAGE}", "."),
            cwd=checkout,
        )

    def inspect(self) -> dict[str, Any]:
        """What the image says of itself, in the form of Docker's."""
        found: dict[str, Any] = json.loads(self.buildah("inspect", "--type=image", IMAGE))["Docker"]
        return found

    @contextmanager
    def unpacked(self) -> Iterator[Path]:
        """The image's files."""
        container = self.buildah("from", "--pull-never", IMAGE)
        try:
            yield Path(self.buildah("mount", container))
        finally:
            self.buildah("rm", container)


@dataclass(slots=True)
class Container:
    """One that runs."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    config: dict[str, Any]

    def output(self) -> str:
        """Everything that it has written so far."""
        return (self.folder / "output").read_text()

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as its user, as `docker exec` does."""
        return subprocess.run(
            [*_runc(self.folder), "exec", self.name, *command], capture_output=True, text=True, check=False
        )

    def check_health(self) -> tuple[bool, str]:
        """What the image's own HEALTHCHECK finds, and says."""
        kind, *command = self.config["Healthcheck"]["Test"]
        assert kind == "CMD", "without a shell"
        done = self.execute(*command)
        return done.returncode == 0, done.stdout + done.stderr

    def signal(self, name: str) -> None:
        """Send a signal to its first process."""
        subprocess.run([*_runc(self.folder), "kill", self.name, name], check=True)

    def until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, f"{what} did not come:\n{self.output()}"
            time.sleep(0.1)


@contextmanager
def running(
    root: Path,
    config: dict[str, Any],
    folder: Path,
    *,
    env: Sequence[str] = (),
    binds: Sequence[Path] = (),
    network: str | None = None,
) -> Iterator[Container]:
    """Run an image as `docker run --read-only --tmpfs /tmp --cap-drop ALL` would.

    Args:
        root: the image's files; they stay as they are.
        config: the image's configuration.
        folder: an empty one, for what belongs to this container; its volume is `volume` in it.
        env: more variables, as `NAME=value`.
        binds: files of this machine, shown under their own paths, to be read.
        network: the name of a namespace of the network; None for this machine's own.
    """
    uid, gid = (int(part) for part in config["User"].split(":"))
    (volume,) = config["Volumes"]
    data = folder / "volume"
    data.mkdir()
    os.chown(data, uid, gid)  # an engine gives a new volume the owner of the folder in the image
    mounts: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        _tmpfs("/dev", "mode=755"),
        _tmpfs("/dev/shm", "mode=1777", "nodev"),  # noqa: S108 - a mount in a container
        _tmpfs("/tmp", "mode=1777", "nodev"),  # noqa: S108
        {"destination": volume, "type": "bind", "source": str(data), "options": ["rbind", "rw"]},
    ]
    for path in (*binds, Path("/etc/hosts"), Path("/etc/resolv.conf")):
        mounts.append(
            {"destination": str(path), "type": "bind", "source": str(path), "options": ["bind", "ro"]}
        )
    namespaces = [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]
    if network is not None:
        namespaces.append({"type": "network", "path": f"/run/netns/{network}"})
    specification = {
        "ociVersion": "1.0.2",
        "root": {"path": str(root), "readonly": True},
        "process": {
            "terminal": False,
            "user": {"uid": uid, "gid": gid},
            "args": [*config["Entrypoint"], *config["Cmd"]],
            "cwd": config["WorkingDir"],
            "env": [*config["Env"], *env],
            "capabilities": {kind: [] for kind in _KINDS},
            "noNewPrivileges": True,
        },
        "mounts": mounts,
        "linux": {"namespaces": namespaces},
    }
    (folder / "config.json").write_text(json.dumps(specification))
    name = f"llm-monitor-{os.getpid()}-{folder.name}"
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [*_runc(folder), "run", f"--bundle={folder}", name],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    container = Container(name, folder, process, config)
    try:
        yield container
    finally:
        _end(process, folder, name)


def _end(process: subprocess.Popen[bytes], folder: Path, name: str) -> None:
    """End a container, which may be about to begin: until then there is nobody to kill."""
    deadline = time.monotonic() + _END_SECONDS
    try:
        while process.poll() is None and time.monotonic() < deadline:
            subprocess.run([*_runc(folder), "kill", name, "KILL"], check=False, capture_output=True)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.5)
        assert process.poll() is not None, f"{name} did not end"
    finally:
        process.kill()
        process.wait()
        subprocess.run([*_runc(folder), "delete", "--force", name], check=False, capture_output=True)


def _tmpfs(place: str, *more: str) -> dict[str, Any]:
    options = ["nosuid", "size=65536k", *more]
    return {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": options}


def _runc(folder: Path) -> tuple[str, ...]:
    return installed("runc"), f"--root={folder / 'runc'}"


@contextmanager
def storage(folder: Path) -> Iterator[Storage]:
    """A place for images, removed with them."""
    folder.mkdir()
    try:
        yield Storage(folder)
    finally:
        # A build that was broken off leaves mounts, and whoever cleans up after us would stumble over them.
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in reversed([one for one in mounts if Path(one).is_relative_to(folder)]):
            subprocess.run([installed("umount"), "--lazy", place], check=True)
        shutil.rmtree(folder)
