"""How long a daemon takes from its command to /readyz 200, and what memory it then holds."""

import asyncio
import time
from pathlib import Path
from statistics import median

from tests.bench.daemon import (
    add_targets,
    children_resident,
    database_of,
    resident,
    starting_daemon,
    until_probed,
)
from tests.bench.figures import Figure
from tests.bench.server import BenchServer, running_server
from tests.daemon import RunningDaemon
from tests.postgres import DISK, open_folder

ROUNDS = 3
LOOK_SECONDS = 0.01
READY_AIM = 5.0
MEMORY_AIM = 300.0
WARM_SECONDS = 60.0


async def measure() -> list[Figure]:
    """First and second starts on an empty folder in turn, then the memory once litellm is loaded."""
    first, second = [], []
    async with running_server(ports=1) as server:
        for _ in range(ROUNDS):
            with open_folder(DISK) as folder:
                first.append(await _seconds_to_ready(folder))
                second.append(await _seconds_to_ready(folder))
        with open_folder(DISK) as folder:
            idle, alone, postgres = await _memory(folder, server)
    note = f"{ROUNDS} starts, with a PostgreSQL of its own"
    return [
        Figure(name="first start to /readyz 200", median=median(first), unit="s", most=READY_AIM, note=note),
        Figure(
            name="second start to /readyz 200", median=median(second), unit="s", most=READY_AIM, note=note
        ),
        Figure(name="memory before litellm is loaded", median=idle, unit="MB", note="the daemon alone"),
        Figure(
            name="memory, litellm loaded", median=alone, unit="MB", most=MEMORY_AIM, note="the daemon alone"
        ),
        Figure(
            name="memory, litellm loaded, PostgreSQL too",
            median=alone + postgres,
            unit="MB",
            most=MEMORY_AIM,
            note="shared pages of PostgreSQL's processes count once",
        ),
    ]


async def _seconds_to_ready(folder: Path) -> float:
    began = time.monotonic()
    async with starting_daemon(folder) as daemon:
        await _ready(daemon)
        return time.monotonic() - began


async def _ready(daemon: RunningDaemon) -> None:
    async with asyncio.timeout(WARM_SECONDS):
        while (await daemon.get("/readyz"))[0] != 200:
            if daemon.process.returncode is not None:
                raise RuntimeError("the daemon has ended:\n" + "\n".join(daemon.raw[-20:]))
            await asyncio.sleep(LOOK_SECONDS)


async def _memory(folder: Path, server: BenchServer) -> tuple[float, float, float]:
    async with starting_daemon(folder) as daemon:
        await _ready(daemon)
        pid = daemon.process.pid
        idle = resident(pid)
        async with database_of(folder) as connection:
            await add_targets(connection, server, 1)
            await until_probed(connection, "deep", 1, WARM_SECONDS)
            return idle, resident(pid), children_resident(pid)
