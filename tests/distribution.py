"""The wheel and the source distribution, built from a clean copy of what version control has."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_NOT_COPIED = {".git", ".venv", "dist", "build", "__pycache__", ".hypothesis"}


def tracked_files(root: Path = ROOT) -> list[str]:
    """What a checkout consists of, new files included and ignored ones not; relative paths, sorted."""
    if not (root / ".git").exists() or shutil.which("git") is None:
        return sorted(_walk(root))
    git = ("git", "-c", "safe.directory=*", "-C", str(root))
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return sorted(name for name in listed.split("\0") if name and (root / name).is_file())


def _walk(root: Path) -> list[str]:
    """The same of an unpacked source distribution."""
    found = []
    for folder, inner, names in os.walk(root):
        inner[:] = [
            one for one in inner if one not in _NOT_COPIED and not one.endswith(("_cache", ".egg-info"))
        ]
        found += [Path(folder, name).relative_to(root).as_posix() for name in names]
    return [name for name in found if name != "PKG-INFO"]


def copy_checkout(target: Path) -> Path:
    """A clean copy of the checkout, without anything that was built in it."""
    for name in tracked_files():
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place)
    return target


def build(checkout: Path, target: Path, *kinds: str) -> dict[str, Path]:
    """Build what `make dist` builds, by the locked builder and without a download.

    Args:
        checkout: the folder with pyproject.toml.
        target: where the files go.
        kinds: `wheel`, `sdist`; none for both.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "-d",
            str(target),
            *(f"--target={kind}" for kind in kinds),
        ],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    endings = {"wheel": "*.whl", "sdist": "*.tar.gz"}
    return {kind: next(target.glob(endings[kind])) for kind in kinds or endings}
