"""Small files with secrets in them, made and changed whole or not at all."""

import errno
import os
import secrets
import stat
from pathlib import Path

_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def create(path: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    """Make a file, whole or not at all; one that somebody made meanwhile stays.

    Args:
        path: where.
        text: what is in it.
        owner: user and group whose it becomes; None for ours.
    """
    draft = _draft(path, text, 0o600, owner)
    try:
        os.link(draft, path)  # unlike a rename, this refuses to replace
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        _write(path, text, 0o600, owner)
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def replace(path: Path, text: str) -> None:
    """Change a file's content at once, keeping its mode and, where we may, its owner."""
    before = path.stat()
    owner = (before.st_uid, before.st_gid)
    ours = owner == (os.geteuid(), os.getegid())
    _take_place(_draft(path, text, stat.S_IMODE(before.st_mode), None if ours else owner), path)


def put(path: Path, text: str) -> None:
    """Make a file that its owner alone reads, at once; one that lies there gives way, whatever its mode."""
    _take_place(_draft(path, text, 0o600), path)


def _take_place(draft: Path, path: Path) -> None:
    try:
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _draft(path: Path, text: str, mode: int, owner: tuple[int, int] | None = None) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    _write(draft, text, mode, owner)
    return draft


def _write(path: Path, text: str, mode: int, owner: tuple[int, int] | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            if owner is not None:
                os.fchown(
                    descriptor, *owner
                )  # by no name, which the owner of the folder could point elsewhere
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
