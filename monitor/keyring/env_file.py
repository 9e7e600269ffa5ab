"""Adds our encryption key to a `.env` file."""

import re
from pathlib import Path

from monitor.keyring.files import create, replace
from monitor.keyring.ring import VARIABLE, KeyringError, generate

_ASSIGNMENT = re.compile(rf"\s*(?:export\s+)?{VARIABLE}\s*=\s*(?P<value>.*?)\s*")


def add_to_env_file(path: Path) -> str:
    """Add a new BYOK_ENCRYPTION_KEY to a `.env` file; its other lines and its mode stay, a new one is 0600.

    Returns:
        The key that was added.

    Raises:
        KeyringError: the file names a key already, or cannot be read or written.
    """
    key = generate()
    try:
        target = path.resolve()
        if not target.exists():
            create(target, f"{VARIABLE}={key}\n")
            if _values(_text(target)) == [key]:
                return key
            raise KeyringError(f"{path}: somebody else has just written it; look into it and try again")
        text = _text(target)
        if any(_values(text)):
            raise KeyringError(f"{path}: holds a {VARIABLE} already; it is kept, for the stored keys need it")
        lines = [
            line for line in text.splitlines(keepends=True) if not _ASSIGNMENT.fullmatch(line.rstrip("\r\n"))
        ]
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        replace(target, "".join([*lines, f"{VARIABLE}={key}\n"]))
    except UnicodeDecodeError:
        raise KeyringError(f"{path}: is not UTF-8; name a .env file") from None
    except OSError as error:
        raise KeyringError(
            f"{path}: cannot be read or written ({error.strerror}); mend its path or mode"
        ) from None
    return key


def _text(path: Path) -> str:
    return path.read_bytes().decode()


def _values(text: str) -> list[str]:
    """What the lines of a `.env` file assign to our variable, without quotes and comments."""
    found = (_ASSIGNMENT.fullmatch(line) for line in text.splitlines())
    return [re.sub(r"(^|\s)#.*$", "", match["value"]).strip(" '\"") for match in found if match]
