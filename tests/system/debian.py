"""A small Debian in a folder, made from this machine's own apt source, and the program installed in it.

`tests/system/conftest.py` has both as fixtures. They are for reading: whoever changes files takes a copy, or
lays something over them.
"""

import fcntl
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.system.packages import installed, update_lists

ROOT = Path(__file__).parents[2]
PACKAGES = ("libnss-systemd", "passwd", "python3", "python3-venv", "systemd", "systemd-sysv")
PROGRAM = Path("/opt/llm-monitor")
"""Where the program's environment lies in the tree; `bin/llm-monitor` is in it."""

_WHEELS = "wheels"
_UNREAD = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
_SUITES = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"


@contextmanager
def shared(folder: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """A folder that is made once for all who want it at a time, and removed by the last of them.

    Args:
        folder: its path; beside it lie a lock and, while it is made, an unfinished one.
        make: fills a new folder.
    """
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        while True:
            fcntl.flock(lock, fcntl.LOCK_SH)  # waits while somebody makes it
            if folder.exists():
                break
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Others look, too. Nobody waits to be alone: whoever has it keeps it for its whole run.
                fcntl.flock(lock, fcntl.LOCK_UN)
                time.sleep(random.uniform(0.05, 0.5))  # so that they do not meet again
                continue
            if not folder.exists():
                unfinished = folder.with_name(f"{folder.name}.new")
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(folder)
        try:
            yield folder
        finally:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # somebody still uses it, and will come here in turn
            else:
                shutil.rmtree(folder)


def make_tree(folder: Path, packages: Sequence[str] = PACKAGES) -> None:
    """Fill a folder with a Debian of this machine's own release: what is essential, and these packages."""
    options = [f"--dpkgopt=path-exclude={path}" for path in _UNREAD]
    _run(
        installed("mmdebstrap"),
        "--quiet",
        "--variant=essential",
        "--format=directory",
        f"--include={','.join(packages)}",
        "--dpkgopt=force-unsafe-io",
        *options,
        *(f"--aptopt={line}" for line in _how_apt_fetches()),
        platform.freedesktop_os_release()["VERSION_CODENAME"],
        str(folder),
        *_sources(),
    )


def copy_tree(tree: Path, folder: Path) -> None:
    """Fill a folder with a tree of one's own, owners and devices included."""
    _run("cp", "--archive", "--reflink=auto", f"{tree}/.", str(folder))


def make_wheels(folder: Path) -> None:
    """Fill a folder with all that an installation of the program in a tree wants, and with its lock file."""
    lock = ROOT / "requirements.lock"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    _run(
        *(*pip, "download", "--no-deps", "--require-hashes", "--only-binary=:all:"),
        *(f"--python-version={_python_version()}", f"--dest={folder}", f"--requirement={lock}"),
    )
    _run(*pip, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(ROOT))
    shutil.copy(lock, folder)


def install_program(tree: Path, wheels: Path) -> None:
    """Install the program into a tree, by the tree's own Python and without a network."""
    inside = tree / _WHEELS
    shutil.copytree(wheels, inside, copy_function=os.link)
    pip = (f"{PROGRAM}/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    offline = (
        "--no-deps",
        "--no-index",
        f"--find-links=/{_WHEELS}",
        "--root-user-action=ignore",
        "--no-compile",
    )
    in_tree(tree, "python3", "-m", "venv", str(PROGRAM))
    locked = ("--require-hashes", f"--requirement=/{_WHEELS}/requirements.lock")
    in_tree(tree, *pip, *offline, *locked)
    in_tree(tree, *pip, *offline, "llm-provider-monitor")
    # By all cores at a time, and once: the service's user could not keep what it compiles.
    in_tree(tree, f"{PROGRAM}/bin/python", "-m", "compileall", "-q", "-j", "0", f"{PROGRAM}/lib")
    shutil.rmtree(inside)


def in_tree(tree: Path, *command: str) -> str:
    """Run a command in a tree, as root and with a clean environment; gives what it says."""
    chroot = shutil.which("chroot", path="/usr/sbin:/usr/bin")
    assert chroot is not None
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
    return _run(chroot, str(tree), *command, environment=environment)


def _python_version() -> str:
    """The version of the Python that a tree gets, as 3.11; told without one, to make both at a time."""
    _know_packages()
    found = re.search(r"Candidate: (?:\d+:)?(\d+\.\d+)", _run("apt-cache", "policy", "python3"))
    assert found is not None
    return found[1]


def _sources() -> list[str]:
    """The lines of the distribution's own suites among what this machine's apt knows; others stay out."""
    release = platform.freedesktop_os_release()
    found = _know_packages()
    lines = []
    for origin, codename, address, suite, component in (line.split("|") for line in found.splitlines()):
        if origin.lower() == release["ID"] and codename.startswith(release["VERSION_CODENAME"]):
            lines.append(f"deb {address} {suite} {component}")
    assert lines, f"apt knows no suite of {release['PRETTY_NAME']}: {found}"
    return lines


def _know_packages() -> str:
    """Every list of packages that apt has, a line each; fetched where it has none yet."""
    command = ("apt-get", "indextargets", "--format", _SUITES, "Created-By: Packages")
    if found := _run(*command):
        return found
    update_lists()
    return _run(*command)


def _how_apt_fetches() -> list[str]:
    """This machine's own settings of proxies, certificates and the like."""
    return [line for line in _run("apt-config", "dump", "Acquire").splitlines() if not line.endswith('"";')]


def _run(*command: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        env=environment or {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
    return done.stdout
