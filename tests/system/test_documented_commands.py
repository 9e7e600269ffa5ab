"""Every command of README and docs, typed as it stands there, beside a daemon with a database of its own."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitor.domain.access import TokenRole
from monitor.keyring import Keyring, read_keys
from monitor.storage.tokens import create_token
from tests.application_rows import ApplicationRows
from tests.bench.daemon import database_of
from tests.daemon import RunningDaemon, free_port, running_daemon
from tests.documented import Documented, commands
from tests.fault_server import FaultServer
from tests.postgres import DISK, open_folder
from tests.system.packages import installed
from tests.targets import PLANTED_KEY

DOCUMENTED_PORT, DOCUMENTED_BACKUPS = ":9780", "/var/backups"
COMMAND_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who types what he reads: in the data folder, with the program on his path."""

    folder: Path
    daemon: RunningDaemon
    environment: dict[str, str]

    async def types(self, command: Documented) -> str | None:
        """One command to its end, `run` until it listens; what is wrong with its answer, if anything is."""
        text = command.text.replace(DOCUMENTED_PORT, ":" + self.daemon.url.rpartition(":")[2])
        text = text.replace(DOCUMENTED_BACKUPS, str(self.folder.parent))
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            "/bin/bash",
            "-c",
            f"set -o pipefail; {text}",
            cwd=self.folder,
            env={**self.environment, "MONITOR_PORT": str(port)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        runs_on = "llm-monitor run" in text
        try:
            if runs_on:
                await self._listens(process, port)
                os.killpg(process.pid, signal.SIGINT)
            async with asyncio.timeout(COMMAND_SECONDS):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        said = out.decode(errors="replace")
        assert PLANTED_KEY not in said, command.place
        if process.returncode != 0:
            return f"{command.place}: {command.text}: exit code {process.returncode}\n{said[-2000:]}"
        if not (said.strip() or runs_on or ">" in text):
            return f"{command.place}: {command.text}: says nothing"
        return None

    async def _listens(self, process: asyncio.subprocess.Process, port: int) -> None:
        async with asyncio.timeout(COMMAND_SECONDS):
            while process.returncode is None:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.1)
                    continue
                writer.close()
                return


@asynccontextmanager
async def reading() -> AsyncIterator[Reader]:
    """A daemon as the documents think of it: gpu-1 serves chat, gpu-2 is next, a hosted key after them."""
    installed("curl")
    program = Path(sys.executable).with_name("llm-monitor")
    with open_folder(DISK) as folder:
        async with (
            FaultServer() as one,
            FaultServer() as two,
            FaultServer(keys={PLANTED_KEY}) as hosted,
            running_daemon({"MONITOR_DATA_DIR": str(folder / "data")}) as daemon,
        ):
            await daemon.ready()
            async with database_of(folder) as connection:
                rows = ApplicationRows(connection)
                keyring = Keyring(read_keys(folder / "data" / "encryption.key")[0])
                servers = [
                    await rows.add_server(
                        name, "openai-compatible", server.url, model_path="m1", use_for_chat=True
                    )
                    for name, server in (("gpu-1", one), ("gpu-2", two))
                ]
                key = await rows.add_key(
                    "openai",
                    keyring.seal(PLANTED_KEY).text,
                    metadata={"base_url": f"{hosted.url}/v1", "model": "m1"},
                )
                assert [*servers, key] == ["ai_server:1", "ai_server:2", "api_key:1"]
                await rows.set_active("chat", *servers)
                for name in ("second", "third"):
                    await create_token(connection, name=name, role=TokenRole.VIEWER, lifetime=None, by="test")
                for server in servers:
                    await daemon.event("health_changed", target=f"{server}/chat", after="up")
                token = (folder / "data" / "admin-token").read_text().strip()
                yield Reader(
                    folder / "data",
                    daemon,
                    {
                        "PATH": f"{program.parent}:/usr/local/bin:/usr/bin:/bin",
                        "HOME": str(folder),
                        "LANG": "C.UTF-8",
                        "MONITOR_DATA_DIR": str(folder / "data"),
                        "TOKEN": token,
                    },
                )


@pytest.mark.timeout(600)
async def test_every_documented_command_does_what_its_reader_hopes() -> None:
    assert shutil.which("bash")
    typed: set[str] = set()
    complaints = []
    async with reading() as reader:
        for command in commands():
            if command.is_elsewhere() or command.text.startswith("export ") or command.text in typed:
                continue
            typed.add(command.text)
            complaints.append(await reader.types(command))
    wrong = [one for one in complaints if one is not None]
    assert not wrong, "\n".join(wrong)
    assert len(typed) > 20
