"""The embedded PostgreSQL: one owner, no orphans, no half-made folder, whoever dies when."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from monitor.storage import embedded_binaries
from monitor.storage.address import connect
from monitor.storage.embedded import EmbeddedServer, attach
from monitor.storage.embedded_folder import EmbeddedError, EmbeddedNotRunning, Folder, choose_account
from monitor.storage.embedded_processes import is_alive, processes_in, read_pid_file
from tests.postgres import open_folder as temporary_folder
from tests.postgres import until_gone

ROOT = os.geteuid() == 0
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A data folder that has been used once, to copy from: making one takes a second."""
    with temporary_folder() as parent:
        server = EmbeddedServer(parent / "data")
        asyncio.run(server.start())
        asyncio.run(server.stop())
        yield parent / "data"


@pytest.fixture
def folder(made: Path, open_folder: Path) -> Path:
    """A data folder of the test's own, used before."""
    subprocess.run(["/bin/cp", "-a", made, open_folder / "data"], check=True)
    return open_folder / "data"


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def owner(
    folder: Path, interpreter: str = sys.executable, uid: int | None = None
) -> AsyncIterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Another process that owns the folder; killed at the end if it still runs."""
    site_packages = next(path for path in sys.path if path.endswith("site-packages"))
    process = subprocess.Popen(  # noqa: ASYNC220 - begins at once
        [interpreter, "-m", "tests.owner", str(folder)],
        cwd=REPOSITORY,
        env={"PYTHONPATH": f"{REPOSITORY}:{site_packages}", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
    )
    assert process.stdout is not None
    try:
        lines: list[str] = []
        while not lines or not lines[-1].startswith("ready "):
            line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 30)
            assert line, lines
            lines.append(line)
        yield process, json.loads(lines[-1].removeprefix("ready "))
    finally:
        if process.poll() is None:
            process.kill()
        await asyncio.to_thread(process.wait, 30)
        process.stdout.close()


async def write_row(folder: Path) -> None:
    connection = await connect(attach(folder))
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
    await connection.execute("INSERT INTO kept VALUES (1)")
    await connection.close()


async def count_rows(folder: Path) -> int:
    connection = await connect(attach(folder))
    found: int = await connection.fetchval("SELECT count(*) FROM kept")
    await connection.close()
    return found


def owner_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def program_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/exe").readlink()


def copies_in(folder: Path) -> list[Path]:
    return list(folder.glob("postgresql-*"))


async def test_stop_ends_everything_and_the_data_stays(open_folder: Path) -> None:
    folder = open_folder / "data"
    async with running(folder) as server:
        assert server.owned
        await write_row(folder)
        connection = await connect(attach(folder))
        assert await connection.fetchval("SHOW data_checksums") == "on"
        assert await connection.fetchval("SHOW listen_addresses") == ""
        await server.stop()  # a connection that is open does not hold it up
        connection.terminate()
    assert processes_in(folder / "pg") == []
    assert read_pid_file(folder / "pg" / "postmaster.pid") is None
    with pytest.raises(EmbeddedNotRunning, match=r"start `llm-monitor run`"):
        attach(folder)
    async with running(folder):
        assert await count_rows(folder) == 1


async def test_nobody_else_may_look_inside(open_folder: Path) -> None:
    folder = open_folder / "data"
    async with running(folder):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert {modes["pg"], modes["socket"]} == {0o700}
        assert {modes["postgres.log"], modes["pg.lock"]} == {0o600}
        assert stat.S_IMODE(folder.stat().st_mode) in ({0o711, 0o701} if ROOT else {0o700})


async def test_an_owner_that_is_killed_takes_postgres_along_and_the_data_stays(folder: Path) -> None:
    async with owner(folder) as (process, told):
        await write_row(folder)
        process.kill()
        await asyncio.to_thread(process.wait, 10)
        with capture_logs() as logs:
            async with running(folder) as server:  # at once, while the old one may still be shutting down
                assert server.owned
                assert await count_rows(folder) == 1
                assert not is_alive(told["postmaster"])
        if sys.platform == "linux":
            assert "embedded_postgres_left_over" not in [entry["event"] for entry in logs]
    assert "database system was not properly shut down" not in (folder / "postgres.log").read_text()


async def test_a_second_process_attaches_and_takes_over_when_the_owner_is_killed(folder: Path) -> None:
    async with owner(folder) as (process, told):
        second = EmbeddedServer(folder)
        address = await second.start()
        assert (address.host, second.owned) == (told["host"], False)
        await write_row(folder)
        process.kill()
        await until_gone(told["postmaster"])
        assert await second.start() == address
        assert second.owned
        assert await count_rows(folder) == 1
        await second.stop()


async def test_one_that_only_attached_stops_nothing(folder: Path) -> None:
    async with running(folder):
        second = EmbeddedServer(folder)
        await second.start()
        await second.stop()
        await write_row(folder)


async def test_a_daemon_notices_that_postgres_died_and_starts_it_again(folder: Path) -> None:
    async with running(folder) as server:
        await write_row(folder)
        written = read_pid_file(folder / "pg" / "postmaster.pid")
        assert written is not None
        os.kill(written.pid, signal.SIGKILL)
        await until_gone(written.pid)
        await server.start()
        assert server.owned
        assert await count_rows(folder) == 1


async def test_ctrl_c_in_the_terminal_is_not_postgres_business(folder: Path) -> None:
    async with running(folder):
        written = read_pid_file(folder / "pg" / "postmaster.pid")
        assert written is not None
        assert os.getsid(written.pid) == written.pid != os.getsid(0)


async def test_a_pid_file_that_names_a_living_stranger_is_no_obstacle(folder: Path) -> None:
    async with running(folder):
        await write_row(folder)
    pid_file = folder / "pg" / "postmaster.pid"
    pid_file.write_text(
        f"{os.getppid()}\n{folder / 'pg'}\n1700000000\n5432\n{folder / 'socket'}\n\n  1  2\nready   \n"
    )
    with pytest.raises(EmbeddedNotRunning):
        attach(folder)
    if ROOT:
        os.chown(pid_file, (folder / "pg").stat().st_uid, -1)
    async with running(folder):
        assert await count_rows(folder) == 1


async def test_a_pid_file_that_names_a_zombie_is_no_obstacle(folder: Path) -> None:
    """In a container whose first process reaps nobody, a killed PostgreSQL stays in the table for ever."""
    async with running(folder):
        await write_row(folder)
    account = (folder / "pg").stat().st_uid
    zombie = subprocess.Popen(["/bin/true"], user=account if ROOT else None)  # noqa: ASYNC220
    async with asyncio.timeout(10):
        while is_alive(zombie.pid):  # noqa: ASYNC110 - it must not be waited for
            await asyncio.sleep(0.01)
    pid_file = folder / "pg" / "postmaster.pid"
    pid_file.write_text(
        f"{zombie.pid}\n{folder / 'pg'}\n1700000000\n5432\n{folder / 'socket'}\n\n  1  2\nready   \n"
    )
    if ROOT:
        os.chown(pid_file, account, -1)
    async with running(folder):
        assert await count_rows(folder) == 1
    zombie.wait()


async def test_initdb_that_was_killed_midway_leaves_nothing_half_made(open_folder: Path) -> None:
    folder = open_folder / "data"
    starting = asyncio.create_task(EmbeddedServer(folder).start())
    async with asyncio.timeout(30):
        while not (folder / "pg.new" / "base").exists():  # noqa: ASYNC110 - initdb tells nobody
            await asyncio.sleep(0.01)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not (folder / "pg").exists()
    assert (folder / "pg.new").exists()
    async with running(folder):
        await write_row(folder)
    assert not (folder / "pg.new").exists()


async def test_a_start_that_is_cancelled_leaves_no_process_and_no_lock(folder: Path) -> None:
    async with running(folder):
        pass
    for _ in range(3):
        starting = asyncio.create_task(EmbeddedServer(folder).start())
        async with asyncio.timeout(30):
            while not processes_in(folder / "pg") and not starting.done():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        starting.cancel()
        outcome = (await asyncio.gather(starting, return_exceptions=True))[0]
        assert isinstance(outcome, asyncio.CancelledError)
        assert processes_in(folder / "pg") == []
    async with running(folder) as server:
        assert server.owned


async def test_a_folder_with_a_long_path_gets_a_short_socket(open_folder: Path) -> None:
    folder = open_folder / ("x" * 120) / "data"
    async with running(folder):
        address = attach(folder)
        assert address.host == str(Folder(folder).socket_folder())
        assert not str(address.host).startswith(str(folder))
        await write_row(folder)
    assert not Folder(folder).socket_folder().exists()


async def test_a_short_socket_folder_of_somebody_else_is_refused(open_folder: Path) -> None:
    folder = open_folder / ("x" * 120) / "data"
    folder.mkdir(parents=True)
    planted = Folder(folder).socket_folder()
    planted.symlink_to(open_folder)
    with pytest.raises(EmbeddedError, match="belongs to somebody else"):
        await EmbeddedServer(folder).start()
    planted.unlink()


async def test_the_data_of_another_release_is_refused_with_the_way_to_upgrade(folder: Path) -> None:
    async with running(folder):
        pass
    version = folder / "pg" / "PG_VERSION"
    version.write_text("15\n")
    with pytest.raises(
        EmbeddedError, match=r"made by PostgreSQL 15.*llm-monitor backup FILE.*llm-monitor restore FILE"
    ):
        await EmbeddedServer(folder).start()
    version.write_text("18\n")
    async with running(folder) as server:  # the failure gave the folder up
        assert server.owned


async def test_a_server_that_cannot_start_says_what_postgres_said(folder: Path) -> None:
    async with running(folder):
        pass
    (folder / "pg" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(EmbeddedError, match="pg_control"):
        await EmbeddedServer(folder).start()


async def test_a_folder_that_cannot_be_made_is_one_clear_error(open_folder: Path) -> None:
    (open_folder / "file").write_text("")
    with pytest.raises(EmbeddedError, match="MONITOR_DATA_DIR"):
        await EmbeddedServer(open_folder / "file" / "data").start()


async def test_an_unknown_group_is_named(open_folder: Path) -> None:
    with pytest.raises(EmbeddedError, match="MONITOR_PG_GROUP: there is no group no-such-group"):
        await EmbeddedServer(open_folder / "data", group="no-such-group").start()


async def test_the_log_stays_within_bounds(folder: Path) -> None:
    (folder / "postgres.log").write_bytes(b"x" * 5_000_000)
    async with running(folder):
        pass
    assert (folder / "postgres.log").stat().st_size < 100_000
    older = (folder / "postgres.log.1").stat()
    assert older.st_size >= 5_000_000
    assert stat.S_IMODE(older.st_mode) == 0o600


async def test_the_log_stays_within_bounds_while_it_is_written(folder: Path) -> None:
    log = folder / "postgres.log"
    async with running(folder) as server:
        bounding = asyncio.create_task(server.keep_log_bounded(every_seconds=0.05))
        try:
            connection = await connect(attach(folder))
            with log.open("ab") as file:
                file.write(b"x" * 5_000_000)
            async with asyncio.timeout(10):
                while log.stat().st_size >= 5_000_000:  # noqa: ASYNC110 - a file, which sets no event
                    await asyncio.sleep(0.05)
            with pytest.raises(asyncpg.PostgresSyntaxError):
                await connection.execute("SELEKT 1")
            await connection.close()
        finally:
            bounding.cancel()
    text = log.read_bytes()
    assert b"SELEKT 1" in text, "PostgreSQL goes on where the emptied log begins"
    assert len(text) < 100_000
    assert (folder / "postgres.log.1").stat().st_size >= 5_000_000


def ordinary_case() -> tuple[str, int | None]:
    """How to be an ordinary user here: as we are, or, being root, as `nobody` with a Python it can reach."""
    if not ROOT:
        return sys.executable, None
    nobody = pwd.getpwnam("nobody").pw_uid
    for interpreter in (sys.executable, "/usr/bin/python3"):
        probe = [interpreter, "-c", "import sys; assert sys.version_info >= (3, 11)"]
        try:
            subprocess.run(probe, user=nobody, check=True, capture_output=True, cwd="/")
        except (OSError, subprocess.CalledProcessError):
            continue
        return interpreter, nobody
    raise AssertionError("no Python that an ordinary user could run")


async def test_an_ordinary_user_runs_it_and_takes_it_along(open_folder: Path) -> None:
    interpreter, uid = ordinary_case()
    if uid is not None:
        os.chown(open_folder, uid, -1)
    folder = open_folder / "data"
    async with owner(folder, interpreter, uid) as (process, told):
        await write_row(folder)
        assert told["owned"]
        assert (folder / "pg").stat().st_uid == (os.geteuid() if uid is None else uid)
        process.kill()
        await until_gone(told["postmaster"])
    async with owner(folder, interpreter, uid) as (process, told):
        assert await count_rows(folder) == 1
        process.terminate()
        assert await asyncio.to_thread(process.wait, 20) == 0
        await until_gone(told["postmaster"])
    assert "not properly shut down" not in (folder / "postgres.log").read_text()


if ROOT:

    async def test_root_runs_it_as_another_account(folder: Path) -> None:
        async with running(folder):
            assert (folder / "pg").stat().st_uid != 0
            owners = {owner_of(pid) for pid in processes_in(folder / "pg")}
            assert owners == {(folder / "pg").stat().st_uid}

    async def test_a_private_home_is_refused_to_root_with_the_mend(open_folder: Path) -> None:
        home = open_folder / "home"
        home.mkdir(mode=0o700)
        with pytest.raises(EmbeddedError, match=r"MONITOR_DATA_DIR.*/var/lib/llm-monitor"):
            await EmbeddedServer(home / "data").start()
        assert stat.S_IMODE(home.stat().st_mode) == 0o700

    async def test_programs_under_a_private_home_are_copied_beside_the_data(
        open_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = open_folder / "home"
        package = embedded_binaries.find_package()
        home.mkdir(mode=0o700)
        for name in (package.name, f"{package.name}.libs"):
            await asyncio.to_thread(shutil.copytree, package.parent / name, home / name, symlinks=True)
        monkeypatch.setattr(embedded_binaries, "find_package", lambda: home / package.name)
        (folder / "postgresql-0.1").mkdir(parents=True)
        async with running(folder):
            await write_row(folder)
            programs = {program_of(pid) for pid in processes_in(folder / "pg")}
            (copy,) = copies_in(folder)
            assert programs == {copy / package.name / "pginstall" / "bin" / "postgres"}
        # Whoever owns the folder may put anything there, and root runs none of it.
        (program,) = programs
        program.unlink()
        program.write_text(f"#!/bin/sh\ntouch {open_folder}/run-by-root\necho 'postgres (PostgreSQL) 99.1'\n")
        program.chmod(0o755)
        opened = Folder(folder)
        found = embedded_binaries.prepare_binaries(opened, choose_account(opened, None))
        assert (found.postgres, found.major) == (program, int((folder / "pg" / "PG_VERSION").read_text()))
        assert not (open_folder / "run-by-root").exists()

    async def test_a_group_may_use_the_socket_and_nothing_else(folder: Path) -> None:
        server = EmbeddedServer(folder, group="daemon")
        address = await server.start()
        psql = embedded_binaries.find_package() / "pginstall" / "bin" / "psql"
        nobody = pwd.getpwnam("nobody")
        command = [str(psql), "-h", str(address.host), "-U", "monitor", "-Atc", "SELECT 41 + 1", "monitor"]

        def ask(groups: list[str]) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command,
                user=nobody.pw_uid,
                group=nobody.pw_gid,
                extra_groups=groups,
                text=True,
                capture_output=True,
            )

        try:
            assert (await asyncio.to_thread(ask, ["daemon"])).stdout == "42\n"
            refused = await asyncio.to_thread(ask, [])
            assert "Permission denied" in refused.stderr
            command = ["/bin/ls", str(folder)]
            assert "Permission denied" in (await asyncio.to_thread(ask, ["daemon"])).stderr
        finally:
            await server.stop()
