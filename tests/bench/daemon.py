"""What the bench asks of a running daemon and of its database."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from monitor.storage.address import connect
from monitor.storage.embedded import attach
from tests.bench.server import MODEL, BenchServer
from tests.daemon import RunningDaemon, running_daemon

MEGABYTE = 1e6


@asynccontextmanager
async def starting_daemon(folder: Path, **policy: str) -> AsyncIterator[RunningDaemon]:
    """`llm-monitor run` with a PostgreSQL of its own and the default policy, but for what is given."""
    async with running_daemon({"MONITOR_DATA_DIR": str(folder / "data")}, policy=policy) as daemon:
        yield daemon


@asynccontextmanager
async def database_of(folder: Path) -> AsyncIterator[Any]:
    """A connection to the database of a daemon that is ready."""
    connection = await connect(attach(folder / "data"))
    try:
        yield connection
    finally:
        await connection.close()


async def add_targets(connection: Any, server: BenchServer, count: int) -> list[int]:
    """Servers that are used for chat, in one transaction; their ids, in the order of their numbers."""
    rows = await connection.fetch(
        "INSERT INTO ai_servers (name, server_type, base_url, model_path, use_for_chat)"
        " SELECT 'target ' || number, 'openai-compatible', url, $2, true"
        " FROM unnest($1::text[]) WITH ORDINALITY AS given (url, number) ORDER BY number RETURNING id",
        [server.url(number) for number in range(count)],
        MODEL,
    )
    return [row["id"] for row in rows]


async def failures(connection: Any, ids: Sequence[int]) -> dict[str, int]:
    """How many results of these servers are not ok, by kind and outcome."""
    rows = await connection.fetch(
        "SELECT kind || ' ' || outcome AS what, count(*) AS count FROM monitor.results"
        " WHERE provider_id = ANY ($1) AND outcome <> 'ok' GROUP BY 1 ORDER BY 1",
        list(ids),
    )
    return {row["what"]: row["count"] for row in rows}


async def until_probed(connection: Any, kind: str, count: int, seconds: float) -> None:
    """Wait until so many servers have a stored result of that kind.

    Raises:
        TimeoutError: they have not in that time.
    """
    query = "SELECT count(DISTINCT provider_id) FROM monitor.results WHERE kind = $1"
    async with asyncio.timeout(seconds):
        while True:
            if await connection.fetchval(query, kind) >= count:
                return
            await asyncio.sleep(0.25)


def resident(pid: int) -> float:
    """The resident memory of a process, MB."""
    return float(psutil.Process(pid).memory_info().rss) / MEGABYTE


def children_resident(pid: int) -> float:
    """The memory of all that a process has started, MB; shared pages counted once where it is told."""
    total = 0.0
    for child in psutil.Process(pid).children(recursive=True):
        memory = child.memory_full_info()
        total += getattr(memory, "pss", memory.uss)
    return total / MEGABYTE


def cpu_seconds(pid: int) -> tuple[float, float]:
    """The CPU time of a process, and that of all that it has started and that lives."""
    process = psutil.Process(pid)
    return _spent(process), sum(_spent(child) for child in process.children(recursive=True))


def waited_seconds(pid: int) -> float | None:
    """How long a process's main thread was ready and had to wait for a core; None where nobody tells."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (FileNotFoundError, IndexError):
        return None


def _spent(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
