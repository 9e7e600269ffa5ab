"""The embedded database in a file: consistent while in use, whole or not there, and back again."""

import asyncio
import json
import os
import pwd
import random
import shutil
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import run_command
from monitor.keyring import load_or_create
from monitor.storage import embedded_backup
from monitor.storage.address import Address, connect
from monitor.storage.backup_file import Backup, BackupError, open_backup
from monitor.storage.embedded import EmbeddedServer
from monitor.storage.embedded_folder import EmbeddedError, Folder
from monitor.storage.embedded_processes import processes_in
from monitor.storage.migrations import Standing, compare, migrate
from tests.command_line import Answer, environment, llm_monitor
from tests.postgres import open_folder as temporary_folder

ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def filled() -> Iterator[Path]:
    """A data folder with a key and rows of all kinds, not in use."""
    with temporary_folder() as parent:
        asyncio.run(fill(parent / "data"))
        yield parent / "data"


@pytest.fixture(scope="module")
def saved(filled: Path) -> Path:
    """A backup of it."""
    path = filled.parent / "saved.zip"
    answer = asyncio.run(command("backup", path, data_dir=filled))
    assert answer.code == 0, answer
    return path


async def fill(folder: Path) -> None:
    server = EmbeddedServer(folder)
    connection = await connect(await server.start())
    await migrate(connection)
    load_or_create(folder / "encryption.key")
    today = datetime.now(UTC).date()
    for day in range(3):
        await connection.fetchval("SELECT monitor.ensure_partition($1)", today - timedelta(days=day))
    await connection.execute(
        """
        CREATE ROLE application LOGIN; CREATE ROLE "odd "" name"; GRANT SELECT ON ai_servers TO application;
        CREATE TABLE beside (id SERIAL PRIMARY KEY, word TEXT);
        INSERT INTO beside (word) VALUES ('the application''s own');
        INSERT INTO ai_servers (name, server_type, base_url, metadata)
        VALUES ('Zürich "1"', 'vllm', 'http://a', '{"model": "m1"}'), ('two', 'ollama', 'http://b', '{}');
        DELETE FROM ai_servers WHERE name = 'two';
        INSERT INTO llm_api_keys (provider, key_name, encrypted_key) VALUES ('openai', 'main', 'gAAAAAx');
        INSERT INTO active_providers (purpose, provider_type, provider_id) VALUES ('chat', 'ai_server', 1);
        INSERT INTO monitor.acts (at, act, user_id, via, detail)
        VALUES (now(), 'pin', 'me', 'cli', '{"a": [1]}');
        INSERT INTO monitor.results (id, started_at, ended_at, provider_type, provider_id, purpose, kind,
            outcome, fingerprint, latency_seconds)
        SELECT gen_random_uuid(), now() - n * interval '1 minute', now(), 'ai_server', 1, 'chat', 'deep',
            'ok', 'f', n * 0.1
        FROM generate_series(1, 2000) AS n;
        INSERT INTO monitor.hours (hour, provider_type, provider_id, purpose, kind, counts, latency, ttft,
            tokens_in, tokens_out, cost_usd)
        VALUES (date_trunc('hour', now()), 'ai_server', 1, 'chat', 'deep', '{"ok": 3}', '{1,3}', '{}', 1, 2,
            0);
        """
    )
    await connection.close()
    await server.stop()


async def command(*arguments: str | Path, data_dir: Path) -> Answer:
    return await llm_monitor(
        *map(str, arguments), env=environment(MONITOR_DATA_DIR=str(data_dir), MONITOR_LOG_FORMAT="console")
    )


def names_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


async def everything(address: Address) -> dict[str, object]:
    """The rows of every table, where each sequence stands, who may do what, and all that is defined."""
    connection = await connect(address)
    state: dict[str, object] = {}
    for (table,) in await connection.fetch(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace IN"
        " ('public'::regnamespace, 'monitor'::regnamespace)"
    ):
        rows = await connection.fetch(f"SELECT to_jsonb(one) AS row FROM {table} AS one")
        state[table] = sorted(json.dumps(row["row"], sort_keys=True) for row in rows)
    queries = {
        "sequences": "SELECT schemaname || '.' || sequencename, last_value FROM pg_sequences ORDER BY 1",
        "rights": "SELECT oid::regclass::text, relacl::text FROM pg_class WHERE relacl IS NOT NULL"
        " AND relnamespace IN ('public'::regnamespace, 'monitor'::regnamespace) ORDER BY 1",
        "functions": "SELECT pg_get_functiondef(oid), proacl::text FROM pg_proc"
        " WHERE pronamespace = 'monitor'::regnamespace ORDER BY 1",
        "triggers": "SELECT tgrelid::regclass::text, tgname::text FROM pg_trigger WHERE NOT tgisinternal"
        " ORDER BY 1, 2",
        "partitions": "SELECT oid::regclass::text, pg_get_expr(relpartbound, oid) FROM pg_class"
        " WHERE relispartition ORDER BY 1",
        "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname IN ('public', 'monitor') ORDER BY 1",
        "roles": "SELECT rolname::text, rolcanlogin FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%' ORDER BY 1",
    }
    for name, query in queries.items():
        state[name] = [tuple(row.values()) for row in await connection.fetch(query)]
    await connection.close()
    return state


async def running(folder: Path) -> tuple[EmbeddedServer, Address]:
    server = EmbeddedServer(folder)
    return server, await server.start()


async def test_a_database_comes_back_as_it_was(filled: Path, saved: Path, open_folder: Path) -> None:
    told = await command("restore", saved, data_dir=open_folder / "back")
    assert told.code == 0, told
    assert told.out.startswith(f"restored {saved} into {open_folder / 'back'}: ")
    assert told.out.endswith("the stored keys\nstart it: llm-monitor run\n")
    assert not list((open_folder / "back").glob("pg.restore*"))
    key = open_folder / "back" / "encryption.key"
    assert key.read_bytes() == (filled / "encryption.key").read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before, address = await running(filled)
    expected = await everything(address)
    await before.stop()
    after, address = await running(open_folder / "back")
    try:
        assert await everything(address) == expected
        connection = await connect(address)
        assert await compare(connection) == Standing(pending=(), newer=())
        assert await migrate(connection) == []
        assert await connection.fetchval("INSERT INTO beside (word) VALUES ('next') RETURNING id") == 2
        assert await connection.fetchval("SHOW search_path") == "public"
        await connection.close()
    finally:
        await after.stop()


async def test_a_backup_is_one_instant_of_a_database_in_use(filled: Path, open_folder: Path) -> None:
    folder = open_folder / "data"
    subprocess.run(["/bin/cp", "-a", filled, folder], check=True)  # noqa: ASYNC221 - begins at once
    server, address = await running(folder)
    connection, pairs = await connect(address), 0
    await connection.execute("CREATE TABLE debit (n INT); CREATE TABLE zcredit (n INT)")
    saving = asyncio.create_task(command("backup", open_folder / "saved.zip", "--json", data_dir=folder))
    while not saving.done():
        async with connection.transaction():
            await connection.execute("INSERT INTO debit VALUES ($1)", pairs)
            await asyncio.sleep(0.01)
            await connection.execute("INSERT INTO zcredit VALUES ($1)", pairs)
        pairs += 1
    told = await saving
    assert (told.code, told.json["encryption_key"], told.json["other_databases"]) == (0, "inside", [])
    await connection.close()
    await server.stop()
    assert (await command("restore", open_folder / "saved.zip", data_dir=open_folder / "back")).code == 0
    server, address = await running(open_folder / "back")
    connection = await connect(address)
    assert await connection.fetchval(
        "SELECT array_agg(n ORDER BY n) FROM debit"
    ) == await connection.fetchval("SELECT array_agg(n ORDER BY n) FROM zcredit")
    await connection.close()
    await server.stop()


async def test_only_its_owner_reads_it_and_nothing_is_overwritten_unasked(
    filled: Path, open_folder: Path
) -> None:
    path = open_folder / "saved.zip"
    path.write_text("another file")
    path.chmod(0o644)
    line = (await command("backup", path, data_dir=filled)).refused()
    assert line.endswith("is there already: name another file, or replace it by --force")
    assert path.read_text() == "another file"
    told = await command("backup", path, "--force", "--without-key", data_dir=filled)
    assert (told.code, told.out.splitlines()[1]) == (
        0,
        f"the encryption key is not inside: without {filled}/encryption.key the stored keys are lost",
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["database.dump", "manifest.json"]
    assert names_in(open_folder) == ["saved.zip"]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("nowhere/saved.zip", "No such file or directory"),
        ("", "is a folder"),
        ("file/saved.zip", "Not a directory"),
    ],
)
async def test_a_place_that_takes_no_file_is_named(
    filled: Path, open_folder: Path, place: str, reason: str
) -> None:
    (open_folder / "file").write_text("")
    assert reason in (await command("backup", open_folder / place, data_dir=filled)).refused()


async def test_a_disk_that_takes_no_more_leaves_nothing(filled: Path, open_folder: Path) -> None:
    server, _ = await running(filled)
    path = open_folder / "saved.zip"
    script = f'ulimit -f 8; exec "{sys.executable}" -m monitor backup "{path}"'
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", script),
        env=environment(MONITOR_DATA_DIR=str(filled)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    await server.stop()
    assert (process.returncode, f"{path} can't be written (File too large)" in said.decode()) == (2, True)
    assert names_in(open_folder) == []


async def test_without_a_database_there_is_nothing_to_save(open_folder: Path) -> None:
    line = (await command("backup", open_folder / "saved.zip", data_dir=open_folder / "none")).refused()
    assert "no PostgreSQL runs in" in line
    assert not (open_folder / "none").exists()


@pytest.mark.parametrize("verb", ["backup", "restore"])
async def test_another_database_is_saved_by_its_owner(saved: Path, open_folder: Path, verb: str) -> None:
    env = environment(DATABASE_URL="postgresql://me:planted-word@db/name", MONITOR_DATA_DIR=str(open_folder))
    path = saved if verb == "restore" else open_folder / "x.zip"
    answer = await llm_monitor(verb, str(path), env=env)
    line = answer.refused()
    assert "DATABASE_URL" in line
    assert {"backup": "pg_dump --format=custom", "restore": "| pg_restore --dbname="}[verb] in line
    assert "postgresql://me@db/name" in line
    assert "planted-word" not in line


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def exchange(path: Path) -> None:
    """The same names with another content, whose own checksums are right."""
    with zipfile.ZipFile(path) as archive:
        manifest = archive.read("manifest.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("database.dump", b"another")
        archive.writestr("manifest.json", manifest)


def foreign(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "to whom it may concern")


def no_zip(path: Path) -> None:
    path.write_text("SELECT 1;")


def other_format(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["manifest.json"] = parts["manifest.json"].replace(b'"format": 1', b'"format": 2')
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)


@pytest.mark.parametrize("spoil", [truncate, damage, exchange, foreign, no_zip, other_format])
def test_a_file_that_is_not_whole_is_refused(saved: Path, open_folder: Path, spoil: Any) -> None:
    path = open_folder / "saved.zip"
    shutil.copyfile(saved, path)
    spoil(path)
    with pytest.raises(BackupError, match=r"damaged|is no backup of this program, or was cut short"):
        open_backup(path).__enter__()


async def test_a_file_that_is_refused_touches_nothing(saved: Path, open_folder: Path) -> None:
    path = open_folder / "saved.zip"
    await asyncio.to_thread(shutil.copyfile, saved, path)
    truncate(path)
    for arguments in (("restore", path), ("restore", path, "--check")):
        assert str(path) in (await command(*arguments, data_dir=open_folder / "back")).refused()
    assert names_in(open_folder) == ["saved.zip"]


def changed(saved: Path, path: Path, **fields: object) -> Path:
    """A copy whose manifest says otherwise."""
    with zipfile.ZipFile(saved) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["manifest.json"] = json.dumps(json.loads(parts["manifest.json"]) | fields).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return path


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"oldest": 999, "program": "9.1"}, "restore it with 9.1 or later"),
        ({"postgres": "99.1"}, "PostgreSQL 99.1"),
    ],
)
async def test_a_backup_that_is_too_new_is_refused(
    saved: Path, open_folder: Path, fields: dict[str, object], reason: str
) -> None:
    path = changed(saved, open_folder / "newer.zip", **fields)
    for more in ([], ["--check"]):
        assert reason in (await command("restore", path, *more, data_dir=open_folder / "back")).refused()
    assert not (open_folder / "back").exists()


async def test_a_folder_in_use_with_a_database_or_another_key_is_refused(
    filled: Path, saved: Path, open_folder: Path
) -> None:
    assert (
        "holds a database already: move it away first (mv "
        in (await command("restore", saved, data_dir=filled)).refused()
    )
    server, address = await running(filled)
    line = (await command("restore", saved, data_dir=filled)).refused()
    assert "a daemon uses" in line
    assert "stop it first" in line
    await (await connect(address)).close()
    await server.stop()
    other = open_folder / "other"
    load_or_create(other / "encryption.key")
    written = (other / "encryption.key").read_bytes()
    assert "is another key than the backup's" in (await command("restore", saved, data_dir=other)).refused()
    assert ((other / "encryption.key").read_bytes(), (other / "pg").exists()) == (written, False)


async def test_a_key_that_a_link_names_and_nobody_can_read_is_no_key_that_is_missing(
    filled: Path, saved: Path, open_folder: Path
) -> None:
    """As with a store of secrets that is not mounted."""
    folder = open_folder / "data"
    subprocess.run(["/bin/cp", "-a", filled, folder], check=True)  # noqa: ASYNC221 - begins at once
    (folder / "encryption.key").unlink()
    (folder / "encryption.key").symlink_to(open_folder / "not-mounted")
    told = await command("backup", open_folder / "x.zip", data_dir=folder)
    assert told.refused().endswith("or leave it out by --without-key")
    other = open_folder / "other"
    other.mkdir()
    (other / "encryption.key").symlink_to(open_folder / "not-mounted")
    assert "encryption.key can't be read" in (await command("restore", saved, data_dir=other)).refused()
    assert sorted(names_in(other)) == ["encryption.key", "pg.lock"]


async def test_a_key_stays_as_soon_as_its_database_is_there(
    saved: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stops a restore in its last moment has a database, and stored keys in it."""

    async def stopped_late(folder: Folder, _: Backup) -> None:
        folder.cluster.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded_backup, "restore", stopped_late)
    monkeypatch.setenv("MONITOR_DATA_DIR", str(open_folder / "back"))
    assert await asyncio.to_thread(run_command, ["restore", str(saved)]) == 130
    assert (open_folder / "back" / "encryption.key").exists()


async def test_whatever_fails_fails_before_the_backup_is_there(
    filled: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(_: object) -> list[str]:
        raise ConnectionError("the connection is lost")

    monkeypatch.setattr(embedded_backup, "other_databases", lost)
    monkeypatch.setenv("MONITOR_DATA_DIR", str(filled))
    assert await asyncio.to_thread(run_command, ["backup", str(open_folder / "saved.zip")]) == 2
    assert names_in(open_folder) == []


async def test_the_keys_of_a_rotation_that_goes_on_meanwhile_are_inside(
    filled: Path, open_folder: Path
) -> None:
    path, read = open_folder / "saved.zip", [("new",), ("new", "old"), ("new", "old"), ("old",)]
    server, address = await running(filled)
    connection = await connect(address)
    for _ in range(2):  # begun after the first look, and ended before the second
        await embedded_backup.save(
            connection,
            address,
            path,
            now=datetime.now(UTC),
            program="1",
            keys=read.pop,
            elsewhere=None,
            force=True,
        )
        with open_backup(path) as backup:
            assert backup.key() == b"new\nold\n"
    await connection.close()
    await server.stop()
    assert read == []


async def kill_midway(*arguments: str | Path, data_dir: Path, after: float) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "monitor", *map(str, arguments)),
        env=environment(MONITOR_DATA_DIR=str(data_dir)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(after):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def test_a_restore_that_is_killed_leaves_no_database_and_can_be_done_again(
    saved: Path, open_folder: Path
) -> None:
    folder = open_folder / "back"
    begun = time.monotonic()
    assert (await command("restore", saved, data_dir=open_folder / "first")).code == 0
    whole = time.monotonic() - begun
    chance, broken_off = random.Random(7), 0
    for _ in range(5):
        await kill_midway("restore", saved, data_dir=folder, after=whole * chance.uniform(0.3, 0.95))
        if (folder / "pg").exists():
            break
        if list(folder.glob("pg.restore*")):
            broken_off += 1
            with pytest.raises(EmbeddedError, match="was broken off: run llm-monitor restore again"):
                await EmbeddedServer(folder).start()
    assert broken_off, "none of the kills came in the middle"
    if not (folder / "pg").exists():
        assert (await command("restore", saved, data_dir=folder)).code == 0
    assert not list(folder.glob("pg.restore*"))
    assert processes_in(folder / "pg.restore") == []
    server, address = await running(folder)
    connection = await connect(address)
    assert await connection.fetchval("SELECT count(*) FROM monitor.results") == 2000
    await connection.close()
    await server.stop()


async def test_a_backup_that_is_killed_is_not_there_and_spoils_none_before_it(
    filled: Path, open_folder: Path
) -> None:
    path = open_folder / "saved.zip"
    begun = time.monotonic()
    assert (await command("backup", path, data_dir=filled)).code == 0
    whole, chance = time.monotonic() - begun, random.Random(11)
    for _ in range(4):
        await kill_midway("backup", path, "--force", data_dir=filled, after=whole * chance.uniform(0.3, 0.95))
        assert (await command("restore", "--check", path, data_dir=filled)).code == 0
    assert (await command("backup", path, "--force", data_dir=filled)).code == 0
    assert names_in(open_folder) == ["saved.zip"]


async def test_two_backups_at_once_do_not_mix(filled: Path, open_folder: Path) -> None:
    path = open_folder / "saved.zip"
    server, _ = await running(filled)
    answers = await asyncio.gather(*(command("backup", path, data_dir=filled) for _ in range(3)))
    await server.stop()
    assert 0 in {answer.code for answer in answers}
    for answer in answers:
        assert answer.code == 0 or any(
            words in answer.refused()
            for words in ("another backup is being written", "is there already", "came up")
        )
    assert (await command("restore", "--check", path, data_dir=filled)).code == 0


if ROOT:

    async def test_what_root_restores_belongs_to_the_folders_owner(saved: Path, open_folder: Path) -> None:
        """As for a service that runs as an account of its own."""
        folder, account = open_folder / "state", pwd.getpwnam("daemon")
        folder.mkdir(mode=0o700)
        os.chown(folder, account.pw_uid, account.pw_gid)
        assert (await command("restore", saved, data_dir=folder)).code == 0
        owners = {one.name: one.stat().st_uid for one in folder.iterdir()}
        assert {"pg", "encryption.key", "pg.lock", "postgres.log"} <= set(owners)
        assert set(owners.values()) == {account.pw_uid}

    async def test_root_follows_no_link_of_the_folders_owner(saved: Path, open_folder: Path) -> None:
        folder, account = open_folder / "state", pwd.getpwnam("daemon")
        folder.mkdir(mode=0o700)
        os.chown(folder, account.pw_uid, account.pw_gid)
        for name in ("pg.lock", "postgres.log"):
            (folder / name).symlink_to(open_folder / "of-root")
            assert (
                f"cannot use {folder / name}" in (await command("restore", saved, data_dir=folder)).refused()
            )
            (folder / name).unlink()
            assert not (open_folder / "of-root").exists()

    async def test_root_restores_into_a_folder_that_only_its_service_reaches(
        saved: Path, open_folder: Path
    ) -> None:
        """As systemd keeps the state of a service whose account it makes."""
        account = pwd.getpwnam("daemon")
        folder = open_folder / "private" / "state"
        folder.mkdir(mode=0o700, parents=True)
        folder.parent.chmod(0o700)
        os.chown(folder, account.pw_uid, account.pw_gid)
        await kill_midway("restore", saved, data_dir=folder, after=4)
        assert (folder / "pg").exists() or (folder / "pg.restore").exists() or names_in(folder) == []
        if not (folder / "pg").exists():
            assert (await command("restore", saved, data_dir=folder)).code == 0
        assert {"pg", "encryption.key"} <= set(names_in(folder)) <= {"pg", "encryption.key", "pg.lock"}
        assert {(folder / name).stat().st_uid for name in ("pg", "encryption.key")} == {account.pw_uid}
        assert names_in(open_folder) == ["private"]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
