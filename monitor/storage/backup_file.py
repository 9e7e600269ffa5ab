"""A backup as one file: a zip that people can look into, written whole or not at all, checked before use."""

import errno
import fcntl
import hashlib
import json
import os
import stat
import zipfile
import zlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Self

FORMAT = 1
DUMP = "database.dump"
KEY = "encryption.key"

_MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 1 << 20
_PIECE = 1 << 18
# RuntimeError: a bit says that it is encrypted, or packed in a way that nobody knows.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class BackupError(Exception):
    """A backup can't be made or used; the message names the file and the mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role of the server besides ours, for whom something may be granted."""

    name: str
    login: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself.

    Attributes:
        program: the version that made it.
        created_at: ISO 8601, UTC.
        postgres: the server's version, as in 18.6.
        migrations: number and name of each, in order.
        oldest: programs that do not know the migration of this number can't use it.
        key: where the encryption key is: `inside`, `left out`, `in the settings` or `none`.
        roles: to be there before the dump is loaded.
        contents: of each file inside, its SHA-256 and size in bytes.
    """

    program: str
    created_at: str
    postgres: str
    migrations: Sequence[tuple[int, str]]
    oldest: int
    key: str
    roles: Sequence[Role] = ()
    contents: dict[str, tuple[str, int]] = field(default_factory=dict)

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Parse what `write` made.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is something else.
        """
        said = json.loads(text)
        if said["format"] != FORMAT:
            raise ValueError("of another format")
        return cls(
            program=str(said["program"]),
            created_at=str(said["created_at"]),
            postgres=str(said["postgres"]),
            migrations=[(int(number), str(name)) for number, name in said["migrations"]],
            oldest=int(said["oldest"]),
            key=str(said["key"]),
            roles=[Role(name=str(one["name"]), login=bool(one["login"])) for one in said["roles"]],
            contents={name: (str(digest), int(size)) for name, (digest, size) in said["contents"].items()},
        )

    def write(self) -> bytes:
        """As JSON, for people too."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2).encode()


class BackupWriter:
    """Takes what goes into a backup; the manifest is the last."""

    def __init__(self, archive: zipfile.ZipFile, now: datetime) -> None:
        self._archive = archive
        self._now = now
        self._contents: dict[str, tuple[str, int]] = {}

    async def add(self, name: str, pieces: AsyncGenerator[bytes, None]) -> None:
        """One file, as it comes."""
        digest, size = hashlib.sha256(), 0
        with self._archive.open(self._member(name), "w", force_zip64=True) as file:
            async for piece in pieces:
                digest.update(piece)
                size += len(piece)
                file.write(piece)
        self._contents[name] = (digest.hexdigest(), size)

    def add_text(self, name: str, text: bytes) -> None:
        """One small file."""
        self._archive.writestr(self._member(name), text)
        self._contents[name] = (hashlib.sha256(text).hexdigest(), len(text))

    def finish(self, manifest: Manifest) -> Manifest:
        """Write down what was added; gives the manifest with that."""
        whole = replace(manifest, contents=self._contents)
        self._archive.writestr(self._member(_MANIFEST), whole.write())
        return whole

    def _member(self, name: str) -> zipfile.ZipInfo:
        member = zipfile.ZipInfo(name, self._now.timetuple()[:6])
        member.external_attr = (stat.S_IFREG | 0o600) << 16
        return member


@contextmanager
def write_backup(path: Path, *, now: datetime, force: bool) -> Iterator[BackupWriter]:
    """A new file, for its owner alone; whoever looks for it finds all of it or nothing.

    Args:
        path: where it will be when the block has ended well.
        now: UTC.
        force: replace one that lies there.

    Raises:
        BackupError: it can't be written there.
    """
    draft = path.with_name(f".{path.name}.partial")
    try:
        if path.is_dir():
            raise BackupError(f"{path} is a folder: name a file in it")
        if not force and os.path.lexists(path):
            raise BackupError(f"{path} is there already: name another file, or replace it by --force")
        with _draft(draft) as file:
            try:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                    yield BackupWriter(archive, now)
                file.flush()
                os.fsync(file.fileno())
                _take_place(draft, path, force)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
    except (ConnectionError, TimeoutError):
        raise  # of whoever reads what is to be written; no disk says that
    except OSError as error:
        raise BackupError(
            f"{path} can't be written ({error.strerror}): mend its folder, or name another"
        ) from error


@contextmanager
def open_backup(path: Path) -> Iterator["Backup"]:
    """A backup whose every byte is as it was written.

    Raises:
        BackupError: it is none, or was cut short or damaged.
    """
    with ExitStack() as stack:
        try:
            backup = _verified(path, stack.enter_context(path.open("rb")))
        except OSError as error:
            raise BackupError(
                f"{path} can't be read ({error.strerror}): name a file of llm-monitor backup"
            ) from error
        yield backup


@dataclass(frozen=True, slots=True)
class Backup:
    """One that was checked."""

    manifest: Manifest
    _archive: zipfile.ZipFile

    def pieces(self, name: str) -> Iterator[bytes]:
        """A file's content."""
        with self._archive.open(name) as file:
            while piece := file.read(_PIECE):
                yield piece

    def key(self) -> bytes | None:
        """The encryption key, when it is inside."""
        return self._archive.read(KEY) if KEY in self.manifest.contents else None


def _verified(path: Path, file: IO[bytes]) -> Backup:
    try:
        archive = zipfile.ZipFile(file)
        members = {member.filename: member for member in archive.infolist()}
        with archive.open(members[_MANIFEST]) as said:
            manifest = Manifest.read(said.read(_LARGEST_MANIFEST))
    except (*_UNREADABLE, TypeError, KeyError, AttributeError):
        raise BackupError(
            f"{path} is no backup of this program, or was cut short: name another file of llm-monitor backup"
        ) from None
    backup = Backup(manifest, archive)
    for name, (digest, size) in manifest.contents.items():
        member = members.get(name)
        if member is None or member.file_size != size or _digest(backup, name) != digest:
            raise BackupError(f"{path} is damaged: its {name} is not what was written; use another copy")
    if DUMP not in manifest.contents:
        raise BackupError(f"{path} holds no database: name another file of llm-monitor backup")
    return backup


def _digest(backup: Backup, name: str) -> str | None:
    digest = hashlib.sha256()
    try:
        for piece in backup.pieces(name):
            digest.update(piece)
    except _UNREADABLE:
        return None
    return digest.hexdigest()


@contextmanager
def _draft(path: Path) -> Iterator[IO[bytes]]:
    """The file beside its place, emptied: one that was broken off left it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    while True:
        with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
            _lock(file.fileno(), path)
            if _has_other_name(file.fileno(), path):
                continue
            os.fchmod(file.fileno(), 0o600)
            os.ftruncate(file.fileno(), 0)
            yield file
            return


def _lock(descriptor: int, path: Path) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise BackupError(f"{path} is in the way and not ours: remove it")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BackupError(f"another backup is being written to {path}: wait for it") from None


def _has_other_name(descriptor: int, path: Path) -> bool:
    """Whether what we have locked is a whole backup by now: another writer has given it its name meanwhile.

    One that was killed right then has left it the draft's name, too, which is taken away.
    """
    ours = os.fstat(descriptor)
    try:
        same = os.path.samestat(ours, path.lstat())
    except FileNotFoundError:
        return True
    if same and ours.st_nlink > 1:
        path.unlink()
        return True
    return not same


def _take_place(draft: Path, path: Path, force: bool) -> None:
    if force:
        draft.replace(path)
    else:
        _give_name(draft, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _give_name(draft: Path, path: Path) -> None:
    """Unlike a rename, a link refuses to replace."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise BackupError(f"{path} came up meanwhile: name another file, or replace it by --force") from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        draft.replace(path)
    else:
        with suppress(FileNotFoundError):
            draft.unlink()
