"""The program is installed and runs as a user who owns nothing but the checkout."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "dist", "build", "__pycache__", ".*_cache", ".hypothesis"
)
HAS_VENV = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"


class Visitor:
    """An ordinary user with a copy of the checkout; sees nothing of root's home or environment."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self._account = pwd.getpwnam("nobody")
        for path in (checkout, *checkout.rglob("*")):
            os.chown(path, self._account.pw_uid, self._account.pw_gid, follow_symlinks=False)
        self._environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(checkout),
            "LANG": "C.UTF-8",
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
        }

    def run(self, *command: str, timeout_seconds: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.checkout,
            env=self._environment,
            user=self._account.pw_uid,
            group=self._account.pw_gid,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user: the installation as an ordinary one stays untested")
    # Not pytest's folder, which is closed to others.
    home = Path(tempfile.mkdtemp(prefix="llm-monitor-visitor-", dir="/var/tmp"))
    try:
        shutil.copytree(ROOT, home, ignore=NOT_COPIED, dirs_exist_ok=True)
        yield Visitor(home)
    finally:
        shutil.rmtree(home)


def _python(visitor: Visitor) -> str:
    """The system's Python; the one that runs the tests may lie in a home that the visitor cannot enter."""
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        path = shutil.which(name, path="/usr/local/bin:/usr/bin")
        if path and visitor.run(path, "-c", HAS_VENV).returncode == 0:
            return path
    pytest.fail("an ordinary user finds no Python of 3.11 or newer with venv: apt-get install python3-venv")


@pytest.mark.timeout(900)
def test_an_ordinary_user_installs_and_runs_the_program(visitor: Visitor) -> None:
    python = _python(visitor)
    installed = visitor.run("make", f"PYTHON={python}", "install", timeout_seconds=800)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    told = visitor.run(".venv/bin/llm-monitor", "--help")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "run" in told.stdout
    again = visitor.run("make", f"PYTHON={python}", "install")
    assert again.returncode == 0, again.stderr
    assert "installing" not in again.stdout, "the second time there is nothing to do"
