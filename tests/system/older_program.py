"""Programs of before, taken from the repository's own history: an upgrade is from one that really was."""

import os
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.daemon import ROOT
from tests.system.packages import installed

FIRST_MIGRATIONS = "f3c69bc634dd5dbd41e521935784fe2f1e1c7ae4"
"""The last commit on the first three migrations: the first program that does all of the daemon's job."""

MIGRATIONS = "monitor/storage/sql/migrations"


def last_schema() -> str:
    """The commit before the last migration came."""
    newest = max(path.name for path in (ROOT / MIGRATIONS).glob("*.sql"))
    came = _git("log", "-1", "--diff-filter=A", "--format=%H", "--", f"{MIGRATIONS}/{newest}")
    return f"{came.decode().strip() or 'HEAD'}{'~1' if came else ''}"


def older_program(commit: str, folder: Path) -> Path:
    """The program of a commit, as a folder for PYTHONPATH; what it depends on is that of today."""
    place = folder / "older"
    with tarfile.open(fileobj=BytesIO(_git("archive", commit, "monitor"))) as archive:
        archive.extractall(place, filter="data")
    return place


def _git(*arguments: str) -> bytes:
    # A checkout that belongs to another account is read all the same.
    command = [installed("git"), "-C", str(ROOT), "-c", "safe.directory=*", *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        missing = (
            f"git {arguments[0]} says: {done.stderr.decode().strip()}. An upgrade is tested with programs of "
            "before, out of the history: clone the repository whole (git fetch --unshallow)"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return done.stdout
