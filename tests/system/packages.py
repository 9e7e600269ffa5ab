"""Debian's packages, installed where a test misses one."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SEARCHED = "/usr/sbin:/usr/bin:/usr/local/bin"
_LOCK = Path(tempfile.gettempdir()) / f"llm-monitor-packages.{os.getuid()}.lock"


def installed(program: str, package: str | None = None) -> str:
    """The path of a program, its package installed when it is missing.

    Args:
        program: its name.
        package: the package's name, where it is another.
    """
    if (found := shutil.which(program, path=_SEARCHED)) is not None:
        return found
    with _alone():
        if shutil.which(program, path=_SEARCHED) is None:
            _apt_get("update")
            _apt_get("install", "-y", "--no-install-recommends", package or program)
    found = shutil.which(program, path=_SEARCHED)
    assert found is not None, f"the package {package or program} has no program {program}"
    return found


def update_lists() -> None:
    """Fetch what apt knows of its sources."""
    with _alone():
        _apt_get("update")


@contextmanager
def _alone() -> Iterator[None]:
    """Tests side by side want packages at once: apt waits for dpkg's lock, but not for that of its lists."""
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _apt_get(*command: str) -> None:
    subprocess.run(
        ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", *command],  # noqa: S607 - wherever it is
        check=True,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
    )
