"""SIGHUP: settings are read again while the daemon runs, and a bad file changes nothing."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.daemon import RunningDaemon, running_daemon
from tests.fault_server import FaultServer

SLOW = """
log_level = "info"
[policy]
deep_interval = "1h"
light_interval_local = "1h"
"""
QUICK = """
log_level = "debug"
allowed_hosts = ["monitor.example"]
concurrency = 7
[policy]
deep_interval = "300ms"
light_interval_local = "300ms"
fall = 7
"""


class Listener:
    """Hears what systemd would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o777)
        self._socket.setblocking(False)
        self._heard: list[str] = []

    @property
    def heard(self) -> list[str]:
        """Every line so far."""
        while True:
            try:
                self._heard += self._socket.recv(65536).decode().split("\n")
            except BlockingIOError:
                return self._heard

    @property
    def status(self) -> str:
        """The last one."""
        return next((line for line in reversed(self.heard) if line.startswith("STATUS=")), "")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(open_folder: Path) -> Iterator[Listener]:
    found = Listener(open_folder / "notify")
    yield found
    found.close()


async def _reload(daemon: RunningDaemon, event: str) -> dict[str, Any]:
    """Ask for it, and wait for what comes of it this time."""
    before = len(daemon.events(event))
    daemon.process.send_signal(signal.SIGHUP)
    await daemon.until(lambda: len(daemon.events(event)) > before, event)
    return daemon.events(event)[-1]


async def test_good_settings_are_taken_up_and_bad_ones_change_nothing(
    database: Address, connection: Any, open_folder: Path, listener: Listener
) -> None:
    rows, config = ApplicationRows(connection), open_folder / "llm-monitor.toml"
    config.write_text(SLOW)
    config.chmod(0o644)
    environment = {
        "DATABASE_URL": database.describe(),
        "NOTIFY_SOCKET": str(listener.path),
        "WATCHDOG_USEC": "2000000",
    }
    async with FaultServer() as server:
        one = await rows.add_server("one", "vllm", server.url, model_path="m1", use_for_chat=True)
        await rows.set_active("chat", one)
        async with running_daemon(environment, "--config", str(config), policy={}) as daemon:
            await daemon.event("health_changed", after="up")
            await daemon.until(lambda: "READY=1" in listener.heard, "READY=1")
            await daemon.until(lambda: listener.status == "STATUS=chat: one (healthy)", "who serves")
            assert (await _get(daemon, "monitor.example"))[0] == 400
            probes = len(server.seen)

            # Bad in one place: not even what is good in it counts.
            config.write_text(QUICK.replace("fall = 7", "fal = 7"))
            refused = await _reload(daemon, "settings_not_reloaded")
            assert refused["reason"] == f"{config}:policy.fal: is no setting; did you mean policy.fall?"
            assert "did you mean policy.fall" in listener.status
            config.write_text(QUICK.replace("fall = 7", "fall = 0"))
            refused = await _reload(daemon, "settings_not_reloaded")
            assert refused["reason"] == f"{config}:policy.fall: must be 1 or more"
            config.unlink()
            await _reload(daemon, "settings_not_reloaded")
            assert (await _get(daemon, "monitor.example"))[0] == 400
            assert daemon.events("probed") == []
            assert len(server.seen) == probes, "nor is anything probed by the other interval"

            config.write_text(QUICK)
            taken_up = await _reload(daemon, "settings_reloaded")
            assert set(taken_up["changed"]) == {
                "log_level",
                "allowed_hosts",
                "policy.deep_interval",
                "policy.light_interval_local",
                "policy.fall",
            }
            waiting = await daemon.event("settings_want_a_restart")
            assert waiting["settings"] == ["concurrency"]
            assert listener.status == "STATUS=chat: one (healthy) | restart to apply: concurrency"
            await daemon.until(lambda: len(server.seen) > probes + 3, "probes by the new interval")
            await daemon.event("probed", 10)
            assert (await _get(daemon, "monitor.example"))[0] == 401
            assert (await daemon.get("/readyz"))[0] == 200
            reigns = await connection.fetch(
                "SELECT detail FROM monitor.journal WHERE kind = 'reign' ORDER BY id"
            )
            assert [row["detail"]["facts"]["policy"]["fall"] for row in reigns] == [3, 7]

            fed = listener.heard.count("WATCHDOG=1")
            await daemon.until(lambda: listener.heard.count("WATCHDOG=1") > fed, "the watchdog is fed")
            assert listener.heard.count("RELOADING=1") == 4
            assert await daemon.stop() == 0
            assert listener.heard[-2:] == ["STOPPING=1", "STATUS=ending"]


async def _get(daemon: RunningDaemon, host: str) -> tuple[int, str]:
    """What a request under another name of the machine is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(daemon.url.rsplit(":", 1)[1]))
    writer.write(
        f"GET /api/v1/monitor/providers HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )
    answer = (await reader.read()).decode()
    writer.close()
    return int(answer.split()[1]), answer
