"""Opens and seals the stored keys of providers, and keeps our own encryption key in its file."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from monitor.domain.target import KeyUndecryptable, SealedKey

VARIABLE = "BYOK_ENCRYPTION_KEY"
_OLD_VARIABLE = "MONITOR_OLD_ENCRYPTION_KEYS"
_MEND = "llm-monitor generate-key makes one"
_LARGEST = 4096
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_ASSIGNMENT = re.compile(rf"\s*(?:export\s+)?{VARIABLE}\s*=\s*(?P<value>.*?)\s*")


class KeyringError(Exception):
    """Our own encryption key cannot be used; one line that names the place and the mend, without a key."""


class Keyring:
    """The keys that open what is stored; the current one seals.

    Args:
        current: a Fernet key, 44 characters.
        old: earlier keys, which still open what they sealed.

    Raises:
        KeyringError: one of them is no Fernet key.
    """

    def __init__(self, current: str | bytes, old: Sequence[str | bytes] = ()) -> None:
        fernets = [_fernet(current, VARIABLE), *(_fernet(key, _OLD_VARIABLE) for key in old)]
        self._fernets = MultiFernet(fernets)
        self._count = len(fernets)

    def __repr__(self) -> str:
        return f"Keyring(****, keys={self._count})"

    def unseal(self, sealed: SealedKey) -> str:
        """The key in plain text; one that was never encrypted as it stands.

        Raises:
            KeyUndecryptable: no key of ours opens it.
        """
        if not sealed.encrypted:
            return sealed.text
        try:
            return self._fernets.decrypt(sealed.text.strip().encode()).decode()
        except (InvalidToken, UnicodeError):
            raise KeyUndecryptable(
                f"the stored key opens with neither {VARIABLE} nor {_OLD_VARIABLE}: another one sealed it"
            ) from None

    def seal(self, plaintext: str) -> SealedKey:
        """Encrypt a key with the current one."""
        return SealedKey(self._fernets.encrypt(plaintext.encode()).decode())


def generate() -> str:
    """A new encryption key."""
    return Fernet.generate_key().decode()


def load_or_create(path: Path) -> str:
    """The encryption key in a file, made there at first; never readable by others, never overwritten.

    Raises:
        KeyringError: the file cannot be read or made, others may read it, or it holds no key.
    """
    try:
        if not path.exists() and not path.is_symlink():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create(path, f"{generate()}\n")
        text = _read(path)
    except OSError as error:
        raise KeyringError(
            f"{path}: cannot be read or made ({error.strerror}); mend the folder's owner or mode"
        ) from None
    _fernet(text, str(path))
    return text


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
            _create(target, f"{VARIABLE}={key}\n")
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
        _replace(target, "".join([*lines, f"{VARIABLE}={key}\n"]))
    except UnicodeDecodeError:
        raise KeyringError(f"{path}: is not UTF-8; name a .env file") from None
    except OSError as error:
        raise KeyringError(
            f"{path}: cannot be read or written ({error.strerror}); mend its path or mode"
        ) from None
    return key


def _fernet(key: str | bytes, place: str) -> Fernet:
    try:
        return Fernet(key.strip())
    except (ValueError, TypeError):
        raise KeyringError(
            f"{place}: is no encryption key (44 characters of URL-safe base64); {_MEND}"
        ) from None


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


def _text(path: Path) -> str:
    return path.read_bytes().decode()


def _values(text: str) -> list[str]:
    """What the lines of a `.env` file assign to our variable, without quotes and comments."""
    found = (_ASSIGNMENT.fullmatch(line) for line in text.splitlines())
    return [re.sub(r"(^|\s)#.*$", "", match["value"]).strip(" '\"") for match in found if match]


def _create(path: Path, text: str) -> None:
    """Make a file, whole or not at all; one that somebody made meanwhile stays."""
    draft = _draft(path, text, 0o600)
    try:
        os.link(draft, path)  # unlike a rename, this refuses to replace
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        _write(path, text, 0o600)
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def _replace(path: Path, text: str) -> None:
    """Change a file's content at once, keeping its mode and, where we may, its owner."""
    before = path.stat()
    draft = _draft(path, text, stat.S_IMODE(before.st_mode))
    try:
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(draft, before.st_uid, before.st_gid)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _draft(path: Path, text: str, mode: int) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    _write(draft, text, mode)
    return draft


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
