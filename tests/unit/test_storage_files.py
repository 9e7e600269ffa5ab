"""What storage reads from files and computes from paths, without a database."""

import os
import stat
from pathlib import Path

import pytest

from monitor.storage.embedded_folder import (
    LONGEST_SOCKET_PATH,
    SOCKET_NAME,
    Account,
    Folder,
    can_enter,
    take_lock,
)
from monitor.storage.embedded_processes import PidFile, read_pid_file
from monitor.storage.embedded_settings import server_options
from monitor.storage.migrations import load_migrations
from monitor.storage.queries import QUERIES, read_queries


def test_queries_are_cut_at_their_names() -> None:
    text = "-- a file\n\n-- name: one\n-- why\nSELECT 1;\n\n-- name: two\nSELECT ';';\n"
    assert dict(read_queries(text)) == {"one": "-- why\nSELECT 1", "two": "SELECT ';'"}


def test_every_query_says_what_it_is_for_and_names_its_columns() -> None:
    for name, query in QUERIES.items():
        assert query.startswith("-- "), name
        assert "SELECT *" not in query.upper(), name


def test_migrations_have_numbers_of_their_own() -> None:
    numbers = [migration.number for migration in load_migrations()]
    assert numbers == sorted(set(numbers))
    assert numbers[:4] == [1, 2, 3, 4]
    assert all(migration.name.startswith(f"{migration.number:04}_") for migration in load_migrations())


@pytest.mark.parametrize("length", range(60, 140, 7))
def test_a_sockets_path_is_never_too_long(length: int) -> None:
    folder = Folder(Path("/" + "x" * length))
    sockets = folder.socket_folder()
    assert len(os.fsencode(sockets / SOCKET_NAME)) <= LONGEST_SOCKET_PATH
    assert sockets == folder.socket_folder()
    assert (sockets.parent == folder.path) == (
        length + len("/socket/") + len(SOCKET_NAME) < LONGEST_SOCKET_PATH
    )


def test_a_long_path_counts_in_bytes_and_each_folder_has_its_own_socket() -> None:
    assert Folder(Path("/" + "ü" * 45)).socket_folder().parent != Path("/" + "ü" * 45)
    long = "/" + "x" * 120
    assert Folder(Path(long + "a")).socket_folder() != Folder(Path(long + "b")).socket_folder()


FULL = "42\n/d/pg\n1700000000\n5432\n/d/socket\n\n  123  45\nready   \n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (FULL, PidFile(pid=42, socket_folder=Path("/d/socket"), ready=True)),
        (FULL.replace("ready", "starting"), PidFile(pid=42, socket_folder=Path("/d/socket"), ready=False)),
        ("42\n/d/pg\n", PidFile(pid=42, socket_folder=None, ready=False)),
        ("", None),
        ("-42\n", None),
        ("\x00\x00\x00", None),
    ],
)
def test_a_pid_file_is_read_however_far_it_was_written(
    tmp_path: Path, text: str, found: PidFile | None
) -> None:
    (tmp_path / "postmaster.pid").write_text(text)
    assert read_pid_file(tmp_path / "postmaster.pid") == found


def test_no_pid_file_is_no_error(tmp_path: Path) -> None:
    assert read_pid_file(tmp_path / "postmaster.pid") is None


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first = take_lock(Folder(tmp_path))
    assert first is not None
    assert take_lock(Folder(tmp_path)) is None
    os.close(first)
    again = take_lock(Folder(tmp_path))
    assert again is not None
    os.close(again)


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "enters"),
    [
        (0o700, 0, 0, True),
        (0o700, 1, 0, False),
        (0o600, 0, 0, False),
        (0o750, 1, 0, True),
        (0o750, 1, 1, False),
        (0o701, 1, 1, True),
        (0o701, 1, 0, False),
    ],
)
def test_who_may_enter_is_told_by_the_mode_of_the_one_that_counts(
    tmp_path: Path, mode: int, uid: int, gid: int, enters: bool
) -> None:
    """`uid` and `gid` are offsets from the folder's own."""
    account = Account(uid=tmp_path.stat().st_uid + uid, gid=tmp_path.stat().st_gid + gid, drop=True)
    above = [parent for parent in tmp_path.parents if not parent.stat().st_mode & stat.S_IXOTH]
    tmp_path.chmod(mode)
    if uid and above:
        enters = False  # a private folder above it stops everybody else
    assert can_enter(tmp_path, account) is enters
    tmp_path.chmod(0o700)


def test_newer_settings_are_given_to_newer_servers_only() -> None:
    older = server_options(Path("/d/pg"), Path("/d/socket"), 17, None)
    newer = server_options(Path("/d/pg"), Path("/d/socket"), 18, "ops")
    assert not any(option.startswith("io_method") for option in older)
    assert "io_method=sync" in newer
    assert {"unix_socket_permissions=0700"} <= set(older)
    assert {"unix_socket_permissions=0770", "unix_socket_group=ops"} <= set(newer)
