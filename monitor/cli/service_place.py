"""Whether a service with an account of its own could run the program where it lies."""

import stat
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

import monitor
from monitor.cli.refusal import Refused

_SCRIPT = "llm-monitor"
_HIDDEN = {
    "/home": "the service sees no homes",
    "/root": "the service sees no homes",
    "/run/user": "the service sees no homes",
    "/tmp": "the service has a /tmp of its own",  # noqa: S108 - named, not used
    "/var/tmp": "the service has a /var/tmp of its own",  # noqa: S108 - likewise
}
_MEND = (
    "install the program where every account may read it, as in "
    "`python3 -m venv /opt/llm-monitor && /opt/llm-monitor/bin/pip install WHEEL`, "
    "and run /opt/llm-monitor/bin/llm-monitor install-service"
)


def find_program() -> Path:
    """The command of this installation.

    Raises:
        Refused: this is no installation.
    """
    program = Path(sys.prefix) / "bin" / _SCRIPT
    if not program.is_file():
        raise Refused(f"there is no {program}: the program runs without being installed; {_MEND}")
    return program


def refuse_unreadable(program: Path) -> None:
    """Look at all that the program consists of.

    Raises:
        Refused: the service could not see or read part of it.
    """
    for path in _parts(program):
        reason = unreadable(path)
        if reason is not None:
            raise Refused(f"the service could not run {program}: {reason}; {_MEND}")


def unreadable(path: Path) -> str | None:
    """Why an account without special rights could not read a path inside of the service; None when it can."""
    real = path.resolve()
    for folder, why in _HIDDEN.items():
        for seen in (path, real):
            if seen.is_relative_to(folder):
                return f"{seen} lies below {folder}, and {why}"
    return closed(real)


def closed(path: Path) -> str | None:
    """Which part of a resolved path is closed to others, by its mode; None when none is."""
    mode = path.stat().st_mode
    wanted = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
    if mode & wanted != wanted:
        return f"{path} is closed to other accounts (mode {stat.S_IMODE(mode):04o})"
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            return f"{folder} is closed to other accounts (mode {stat.S_IMODE(mode):04o})"
    return None


def _parts(program: Path) -> Iterator[Path]:
    """The command, its Python with what belongs to it, and every package at its top."""
    yield program
    yield Path(sys.executable)
    yield Path(sysconfig.get_path("stdlib"))
    package = Path(monitor.__file__).parent
    yield from _visible((package, *package.iterdir()))
    # As they are found, so that those of a checkout count, too.
    for found in {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}:
        yield from _visible((found, *found.iterdir()))


def _visible(paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in paths if path.name != "__pycache__")
