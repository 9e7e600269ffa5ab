"""Run as a script: owns an embedded PostgreSQL until it is told to end, or killed.

Prints one line once the database answers: whether it owns it, the postmaster's pid and the socket's folder.
Ends on SIGTERM as the daemon does.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

from monitor.storage.address import connect
from monitor.storage.embedded import EmbeddedServer
from monitor.storage.embedded_processes import read_pid_file


async def own(folder: Path) -> None:
    """Start, tell, wait, stop."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    server = EmbeddedServer(folder)
    address = await server.start()
    await (await connect(address)).close()
    written = read_pid_file(folder / "pg" / "postmaster.pid")
    told = {"owned": server.owned, "postmaster": written.pid if written else None, "host": address.host}
    print("ready", json.dumps(told), flush=True)
    await ended.wait()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(own(Path(sys.argv[1])))
