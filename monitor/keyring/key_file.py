"""Our own encryption keys in the file of a data folder: the current one first, then earlier ones."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from monitor.keyring.files import create, replace
from monitor.keyring.ring import KeyringError, check_key, generate

_LARGEST = 64 << 10


def load_or_create(path: Path) -> tuple[str, ...]:
    """The encryption keys in a file, the current one first; made there at first, never readable by others.

    Raises:
        KeyringError: the file cannot be read or made, others may read it, or it holds something else.
    """
    try:
        if not path.exists() and not path.is_symlink():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            create(path, f"{generate()}\n")
    except OSError as error:
        raise _unusable(path, error) from None
    return read_keys(path)


def read_keys(path: Path) -> tuple[str, ...]:
    """The encryption keys in a file that is there, the current one first.

    Raises:
        KeyringError: as for `load_or_create`.
    """
    try:
        text = _read(path)
    except OSError as error:
        raise _unusable(path, error) from None
    keys = tuple(line.strip() for line in text.splitlines() if line.strip()) or ("",)
    for key in keys:
        check_key(key, str(path))
    return keys


def replace_keys(path: Path, keys: Sequence[str]) -> None:
    """Write other keys into the file, at once: whoever reads it sees all of the old ones or all of these.

    Raises:
        KeyringError: the file cannot be written.
    """
    try:
        replace(path.resolve(), "".join(f"{key}\n" for key in keys))
    except OSError as error:
        raise _unusable(path, error) from None


def _unusable(path: Path, error: OSError) -> KeyringError:
    return KeyringError(f"{path}: cannot be read or made ({error.strerror}); mend the folder's owner or mode")


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hold us
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise KeyringError(
                f"{path}: is no file; move it away, or put the encryption key into such a file"
            )
        if mode & 0o077:
            raise KeyringError(f"{path}: others may read the encryption key; chmod 600 {path}")
        return file.read(_LARGEST).decode("ascii", "replace").strip()
