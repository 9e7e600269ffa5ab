"""The data folder of the embedded PostgreSQL: who owns it, who may enter it, where its socket is."""

import fcntl
import grp
import hashlib
import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOCKET_NAME = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 103  # bytes; macOS has room for 104 with the closing NUL, Linux for 108


class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot run; the message says why and what to do."""


class EmbeddedNotRunning(EmbeddedError):
    """Nobody runs the PostgreSQL of this folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom PostgreSQL runs as.

    Attributes:
        uid: user id.
        gid: group id.
        drop: whether we are root and must become this account in the child.
        shared_gid: the group that may use the socket, or None.
    """

    uid: int
    gid: int
    drop: bool
    shared_gid: int | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """The paths in one data folder.

    Attributes:
        path: the folder.
        name: of the cluster in it.
    """

    path: Path
    name: str = "pg"

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.path / self.name

    @property
    def unfinished(self) -> Path:
        """Where initdb works; renamed to `cluster` when it is whole."""
        return self.path / f"{self.name}.new"

    @property
    def restoring(self) -> "Folder":
        """The cluster that a backup is loaded into, in the same data folder, until it takes its place."""
        return Folder(self.path, "pg.restore")

    @property
    def lock(self) -> Path:
        """Locked by the one owner, for as long as it lives."""
        return self.path / "pg.lock"

    @property
    def log(self) -> Path:
        """What PostgreSQL writes."""
        return self.path / "postgres.log"

    @property
    def pid_file(self) -> Path:
        """Written by PostgreSQL: pid, data directory, start, port, socket folder, ..., status."""
        return self.cluster / "postmaster.pid"

    def socket_folder(self) -> Path:
        """In the data folder; when its path is too long for a socket, a hashed one in the temp directory."""
        usual = self.path / "socket"
        if len(os.fsencode(usual / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
            return usual
        name = f"llm-monitor-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]}"
        for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - checked for its owner before use
            short = Path(parent) / name
            if len(os.fsencode(short / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
                return short
        raise EmbeddedError(
            f"no folder for a socket: {usual} is too long, and so is TMPDIR; set a shorter TMPDIR"
        )


def open_in(folder: Folder, path: Path, flags: int) -> int:
    """Open a file of a data folder; where root makes it for the folder's owner, it becomes the owner's.

    Who is not that owner follows no link there: it may lead to what is not the owner's.
    """
    owner, flags = folder.path.stat(), flags | os.O_CLOEXEC
    foreign = os.geteuid() == 0 != owner.st_uid
    if not foreign:
        return os.open(path, flags | os.O_CREAT, 0o600)
    flags |= os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


def take_lock(folder: Folder) -> int | None:
    """Become the owner.

    Returns:
        The locked descriptor, or None while another process owns the folder.
    """
    descriptor = open_in(folder, folder.lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def choose_account(folder: Folder, group: str | None) -> Account:
    """Whom to run as: ourselves, or as root the owner of the cluster, else of the data folder, else others.

    The others are `postgres` and `nobody`: a data folder of root's says nothing of whom to be.

    Raises:
        EmbeddedError: the group or the account does not exist, or the cluster belongs to somebody else.
    """
    shared_gid = _group_id(group)
    owner = folder.cluster.stat() if folder.cluster.exists() else None
    if os.geteuid() != 0:
        if shared_gid is not None and shared_gid not in {*os.getgroups(), os.getegid()}:
            raise EmbeddedError(
                f"MONITOR_PG_GROUP: this account is not in the group {group}; add it, or run as root"
            )
        if owner is not None and owner.st_uid != os.geteuid():
            raise EmbeddedError(
                f"{folder.cluster} belongs to another account (uid {owner.st_uid}): "
                "run as that one, or name another folder in MONITOR_DATA_DIR"
            )
        return Account(uid=os.geteuid(), gid=os.getegid(), drop=False, shared_gid=shared_gid)
    if owner is not None:
        if owner.st_uid == 0:
            raise EmbeddedError(
                f"{folder.cluster} belongs to root, which PostgreSQL refuses: "
                f"chown -R nobody {folder.cluster}"
            )
        return Account(uid=owner.st_uid, gid=owner.st_gid, drop=True, shared_gid=shared_gid)
    above = folder.path.stat()
    if above.st_uid != 0:
        return Account(uid=above.st_uid, gid=above.st_gid, drop=True, shared_gid=shared_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid, drop=True, shared_gid=shared_gid)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and there is neither an account postgres nor nobody: "
        "run as an ordinary user"
    )


def _group_id(name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise EmbeddedError(f"MONITOR_PG_GROUP: there is no group {name} on this machine") from None


def open_folders(folder: Folder, account: Account) -> Path:
    """Give the data folder and the socket's folder their owners and modes; returns the socket's folder.

    Raises:
        EmbeddedError: the account cannot reach the data folder.
    """
    if account.drop or account.shared_gid is not None:
        # Others may pass through, not look: what lies inside has its own mode.
        mode = stat.S_IMODE(folder.path.stat().st_mode)
        if not mode & stat.S_IXOTH and not _is_a_home(folder.path):
            folder.path.chmod(mode | stat.S_IXOTH)
    if account.drop and not can_enter(folder.path, account):
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root, and the account (uid {account.uid}) it runs as cannot reach "
            f"{folder.path}: set MONITOR_DATA_DIR to a folder outside of private homes, "
            "as in /var/lib/llm-monitor"
        )
    sockets = folder.socket_folder()
    sockets.mkdir(mode=0o700, exist_ok=True)
    status = sockets.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {account.uid, os.geteuid()}:
        raise EmbeddedError(f"{sockets} belongs to somebody else (uid {status.st_uid}): remove it")
    if account.drop or account.shared_gid is not None:
        gid = account.gid if account.shared_gid is None else account.shared_gid
        os.chown(sockets, account.uid, gid, follow_symlinks=False)
    sockets.chmod(0o700 if account.shared_gid is None else 0o750)
    return sockets


def can_enter(path: Path, account: Account) -> bool:
    """Whether the account may pass through this folder and all above it, by their mode bits."""
    groups = {account.gid} if account.shared_gid is None else {account.gid, account.shared_gid}
    real = path.resolve()
    for step in (real, *real.parents):
        status = step.stat()
        if status.st_uid == account.uid:
            bit = stat.S_IXUSR
        elif status.st_gid in groups:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not status.st_mode & bit:
            return False
    return True


def _is_a_home(path: Path) -> bool:
    return any(path == Path(entry.pw_dir) for entry in pwd.getpwall())
