"""Accounts of this machine that see nothing of root's home or environment, each with a folder of its own."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.distribution import copy_checkout

HAS_VENV = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
_PYTHONS = ("/usr/bin/python3", "python3", "python3.11", "python3.12", "python3.13", "python3.14")
_PATH = "/usr/local/bin:/usr/bin:/bin"


class Visitor:
    """An account, its home and how it runs commands there."""

    def __init__(self, home: Path, name: str = "nobody") -> None:
        self.home = home
        self._account = pwd.getpwnam(name)
        self._environment = {
            "PATH": _PATH,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
        }

    @property
    def uid(self) -> int:
        """Its number."""
        return self._account.pw_uid

    def owns(self, folder: Path) -> None:
        """Give it everything in a folder."""
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self._account.pw_uid, self._account.pw_gid, follow_symlinks=False)

    def download_nothing(self, wheels: Path) -> None:
        """Have its pip take what it wants from a folder, which gets a copy in its home."""
        shutil.copytree(wheels, self.home / "wheels")
        self.owns(self.home / "wheels")
        self._environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "wheels", "PIP_NO_COMPILE": "1"}

    def run(
        self, *command: str | Path, timeout_seconds: float = 60, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            **self._how(**variables),
        )

    @contextmanager
    def running(
        self, *command: str | Path, output: Path, **variables: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A command that goes on, its output in a file; ended at the end."""
        with output.open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, **self._how(**variables), start_new_session=True
            )
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def python(self) -> str:
        """Debian's own Python, for which there are wheels; one in root's home would be out of reach."""
        for name in _PYTHONS:
            path = shutil.which(name, path=_PATH)
            if path and self.run(path, "-c", HAS_VENV).returncode == 0:
                return path
        pytest.fail(
            "an ordinary user finds no Python of 3.11 or newer with venv: apt-get install python3-venv"
        )

    def _how(self, **variables: str) -> dict[str, Any]:
        return {
            "cwd": self.home,
            "env": self._environment | variables,
            "user": self._account.pw_uid,
            "group": self._account.pw_gid,
            "extra_groups": [],
            "stdin": subprocess.DEVNULL,
        }


@contextmanager
def visitor(checkout: bool = False) -> Iterator[Visitor]:
    """An ordinary user with a home of its own, in it a clean copy of the checkout or nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user: the installation as an ordinary one stays untested")
    # Not pytest's folder, which is closed to others.
    home = Path(tempfile.mkdtemp(prefix="llm-monitor-visitor-", dir="/var/tmp"))
    try:
        home.chmod(0o755)
        if checkout:
            copy_checkout(home)
        made = Visitor(home)
        made.owns(home)
        yield made
    finally:
        shutil.rmtree(home)
