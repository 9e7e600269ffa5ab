"""The daemon as it is, with a task in its event loop that notes how late the loop is and what held it.

`SAMPLES` names a file; a line is monotonic seconds, late seconds, and how long the loop's thread ran.
What held the loop without running is somebody else's: another thread of ours, or another process.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import monitor.app
from monitor.cli import main

PERIOD_SECONDS = 0.005
NOTED_SECONDS = 0.002


async def _sample(path: Path) -> None:
    loop = asyncio.get_running_loop()
    with path.open("a", buffering=1) as file:
        while True:
            due, spent = loop.time() + PERIOD_SECONDS, time.thread_time()
            await asyncio.sleep(PERIOD_SECONDS)
            late, ran = loop.time() - due, time.thread_time() - spent
            if late > NOTED_SECONDS:
                file.write(f"{loop.time()} {late} {ran}\n")


class SampledDaemon(monitor.app.Daemon):
    """Runs as ever, and is watched meanwhile."""

    async def run(self) -> Any:
        """Until told to stop."""
        sampling = asyncio.create_task(_sample(Path(os.environ["SAMPLES"])))
        try:
            return await super().run()
        finally:
            sampling.cancel()


if __name__ == "__main__":
    vars(monitor.app)["Daemon"] = SampledDaemon
    main()
