"""Debian's packages, installed where a test misses one."""

import fcntl
import os
import shutil
import subprocess
import tempfile
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
    # Tests side by side want packages at once: apt waits for dpkg's lock, but not for that of its lists.
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if shutil.which(program, path=_SEARCHED) is None:
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            for command in (["update"], ["install", "-y", "--no-install-recommends", package or program]):
                subprocess.run(
                    ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", *command],  # noqa: S607 - wherever it is
                    check=True,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                )
    found = shutil.which(program, path=_SEARCHED)
    assert found is not None, f"the package {package or program} has no program {program}"
    return found
