"""The program is installed and runs as a user who owns nothing but the checkout."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.daemon import free_port

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
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            **self._as_visitor(),
        )

    @contextmanager
    def running(self, *command: str, output: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that goes on, its output in a file; ended at the end."""
        with output.open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, **self._as_visitor(**variables), start_new_session=True
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()

    def _as_visitor(self, **variables: str) -> dict[str, Any]:
        return {
            "cwd": self.checkout,
            "env": self._environment | variables,
            "user": self._account.pw_uid,
            "group": self._account.pw_gid,
            "extra_groups": [],
            "stdin": subprocess.DEVNULL,
        }


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
    _runs_until_told_to_stop(visitor)


def _runs_until_told_to_stop(visitor: Visitor) -> None:
    """With a PostgreSQL of its own, in the visitor's own data folder, as the visitor alone."""
    output, port = visitor.checkout / "output", free_port()
    variables = {"MONITOR_DATA_DIR": str(visitor.checkout / "data"), "MONITOR_PORT": str(port)}
    with visitor.running(".venv/bin/llm-monitor", "run", output=output, **variables) as process:
        deadline = time.monotonic() + 60
        while _status(port, "/readyz") != 200:
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        family = psutil.Process(process.pid).children(recursive=True)
        assert any("postgres" in one.name() for one in family)
        assert {one.uids().real for one in family} == {pwd.getpwnam("nobody").pw_uid}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0, output.read_text()
        assert [one for one in family if one.is_running()] == []


def _status(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
