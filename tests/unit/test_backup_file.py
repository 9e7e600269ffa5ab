"""The file of a backup: nobody's whole one is touched, and whatever is wrong with one is told in words."""

import fcntl
import hashlib
import os
import zipfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.storage.backup_file import (
    DUMP,
    KEY,
    BackupError,
    BackupWriter,
    Manifest,
    open_backup,
    write_backup,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTENT = b"PGDMP" + bytes(range(256))


def write(path: Path) -> None:
    """A small backup."""
    with write_backup(path, now=NOW, force=False) as writer:
        fill(writer)


def fill(writer: BackupWriter) -> None:
    writer.add_text(DUMP, CONTENT)
    writer.add_text(KEY, b"key\n")
    writer.finish(
        Manifest(program="1", created_at="now", postgres="18.1", migrations=[], oldest=0, key="inside")
    )


def pack(path: Path) -> None:
    """The same files, compressed, as by somebody who has looked into it."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("packed", [False, True])
def test_whichever_bit_is_wrong_the_content_is_right_or_the_file_is_refused(
    tmp_path: Path, packed: bool
) -> None:
    path = tmp_path / "saved.zip"
    write(path)
    if packed:
        pack(path)
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 2):
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << (place // 2 % 8)
        path.write_bytes(spoiled)
        try:
            with open_backup(path) as backup:
                assert b"".join(backup.pieces(DUMP)) == CONTENT
                assert backup.key() == b"key\n"
        except BackupError:
            refused += 1
    assert refused > len(whole) / 4


def test_a_file_that_says_it_is_encrypted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "saved.zip"
    write(path)
    content = path.read_bytes()
    for member in range(3):
        spoiled, place = bytearray(content), -1
        for _ in range(member + 1):
            place = content.index(b"PK\x01\x02", place + 1)
        spoiled[place + 8] |= 1
        path.write_bytes(spoiled)
        with pytest.raises(BackupError), open_backup(path):
            pass


def test_who_comes_just_before_another_ends_leaves_what_is_whole_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock = tmp_path / "saved.zip", fcntl.flock
    first = ExitStack()
    fill(first.enter_context(write_backup(path, now=NOW, force=True)))

    def end_first(descriptor: int, operation: int) -> None:
        first.close()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", end_first)
    with write_backup(path, now=NOW, force=True) as second:
        with open_backup(path) as backup:
            assert backup.key() == b"key\n"
        fill(second)
    with open_backup(path) as backup:
        assert backup.key() == b"key\n"
    assert [one.name for one in tmp_path.iterdir()] == ["saved.zip"]


def test_one_that_was_killed_while_it_gave_its_file_the_name_is_no_hindrance(tmp_path: Path) -> None:
    path, kept = tmp_path / "saved.zip", tmp_path / "kept.zip"
    write(path)
    digest = hashlib.sha256(path.read_bytes()).digest()
    os.link(path, tmp_path / ".saved.zip.partial")
    path.rename(kept)
    write(path)
    assert hashlib.sha256(kept.read_bytes()).digest() == digest
    assert sorted(one.name for one in tmp_path.iterdir()) == ["kept.zip", "saved.zip"]


def test_a_name_that_the_system_does_not_take_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 300)
    with pytest.raises(BackupError, match=r"can't be written \(File name too long\)"):
        write(path)
    with pytest.raises(BackupError, match=r"can't be read \(File name too long\)"), open_backup(path):
        pass


def test_what_breaks_elsewhere_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    path = tmp_path / "saved.zip"
    with pytest.raises(ConnectionResetError), write_backup(path, now=NOW, force=False):
        raise ConnectionResetError
    assert list(tmp_path.iterdir()) == []
    write(path)
    with pytest.raises(FileNotFoundError), open_backup(path):
        raise FileNotFoundError
