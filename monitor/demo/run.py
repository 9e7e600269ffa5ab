"""Runs the demo from its first line to its last: servers, daemon, story, and nothing left behind."""

import asyncio
import errno
import os
import shlex
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from monitor import logs
from monitor.app import Daemon, leave
from monitor.demo.facts import Beginning, Facts, begin_story, put_rows, watch
from monitor.demo.folder import DemoRefused, claimed, default_folder
from monitor.demo.plot import play
from monitor.demo.policy import demo_policy
from monitor.demo.server import DemoServer
from monitor.demo.telling import Telling, command, psql
from monitor.keyring import KeyringError
from monitor.settings import Settings
from monitor.storage.address import Address
from monitor.storage.application_tables import SchemaError
from monitor.storage.embedded_folder import EmbeddedError
from monitor.tenure import StartError
from monitor.web.listen import ListenError, listen

PRIMARY, FALLBACK = "demo-primary", "demo-fallback"
LOG = "demo.log"
REFUSALS = (DemoRefused, EmbeddedError, KeyringError, ListenError, SchemaError, StartError)


async def run_demo(*, data_dir: Path | None, host: str, port: int, console: Console) -> int:
    """Show a failover and a failback on two servers of our own, until told to stop.

    Nothing of the environment is heeded: no database, no key, no data folder.

    Args:
        data_dir: the demo's folder; None for its usual one.
        host: where the daemon answers.
        port: its port; when that one is taken, a free one is.
        console: where the story is told.

    Returns:
        The exit code 2, when the demo can't run here. After Ctrl-C the process ends at once, with 0.
    """
    telling = Telling(console)
    try:
        free = await _free_port(host, port)
        folder = data_dir if data_dir is not None else default_folder(os.environ)
        with claimed(folder, _url(host, free)) as claim:
            if port not in (0, free):
                telling.show(f"Port {port} is taken: this demo answers on {free}.")
            settings = Settings(data_dir=claim, host=host, port=free, policy=demo_policy())
            await _Demo(settings, telling).run()
    except REFUSALS as refusal:
        # The demo heeds no variable that names a folder; its option does the same.
        telling.show(str(refusal).replace("MONITOR_DATA_DIR", "--data-dir"), "bad")
        return 2
    telling.show()
    telling.show(f"Ended, and nothing is left running. `{command()} run` watches providers of your own.")
    return leave()


class _DemoDaemon(Daemon):
    """Lets the story end before the daemon does: what goes away then is no news."""

    before_stop: Callable[[], None] | None = None

    def stop(self) -> None:
        if self.before_stop is not None:
            before, self.before_stop = self.before_stop, None
            before()
        super().stop()


class _Demo:
    def __init__(self, settings: Settings, telling: Telling) -> None:
        self._settings = settings
        self._telling = telling
        self._primary = DemoServer(PRIMARY)
        self._fallback = DemoServer(FALLBACK)
        self._facts = Facts()
        self._address: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
        self._beginning: Beginning | None = None
        self._daemon = _DemoDaemon(settings, offer=self._put_rows, on_ready=self._ready)

    async def run(self) -> None:
        """Until the daemon is told to stop, or something fails."""
        telling, folder = self._telling, self._settings.data_dir
        telling.show(
            "A demo of llm-monitor: a real daemon, its own PostgreSQL and two small servers on this machine."
        )
        telling.show(f"Everything is kept in {folder}; nothing else is read or written.")
        telling.show()
        async with AsyncExitStack() as stack:
            log = stack.enter_context((folder / LOG).open("w", encoding="utf-8"))
            logs.configure("info", "json", log)
            for server in (self._primary, self._fallback):
                await server.start()
                stack.push_async_callback(server.stop)
            telling.say("the daemon starts (at first it makes its database, which takes a few seconds)")
            story = asyncio.create_task(self._tell(), name="story")

            def end_story() -> None:
                if not story.done():
                    story.cancel()
                    telling.show()
                    telling.say("ending")

            self._daemon.before_stop = end_story
            story.add_done_callback(lambda _: self._daemon.stop())
            try:
                await self._daemon.run()
            finally:
                story.cancel()
                await asyncio.wait({story})
            if not story.cancelled():
                story.result()

    async def _put_rows(self, connection: Any, _keyring: object) -> None:
        await put_rows(connection, self._primary, self._fallback)
        self._beginning = await begin_story(connection)

    async def _ready(self, address: Address) -> None:
        self._address.set_result(address)

    async def _tell(self) -> None:
        address = await self._address
        assert self._beginning is not None  # noqa: S101 - rows come before readiness
        self._invite(address)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch(address, self._beginning, self._facts, self._telling))
            tasks.create_task(play(self._primary, self._fallback, self._facts, self._telling))

    def _invite(self, address: Address) -> None:
        telling, program = self._telling, command()
        url = _url(self._settings.host, self._settings.port)
        # Every other command heeds the environment, whose database is not this one.
        outside = [name for name in ("DATABASE_URL", "POSTGRES_HOST", "POSTGRES_DB") if os.environ.get(name)]
        clean = f"env {' '.join(f'-u {name}' for name in outside)} " if outside else ""
        telling.say(f"the daemon is ready at {url}", "good")
        telling.show()
        telling.show("  Watch it from another terminal:")
        for line in (
            f"{clean}{program} status --data-dir {shlex.quote(str(self._settings.data_dir))}",
            f"curl -s {url}/api/v1/llm-config/health",
            f"curl -s {url}/metrics | grep -E 'active_provider|transitions_total|provider_health'",
            psql(address, "SELECT * FROM active_providers"),
            psql(address, "SELECT decided_at, rule, from_name, to_name, reason FROM monitor.transitions"),
            f"curl -s -X POST {self._fallback.url}/break   # break {FALLBACK} yourself; /mend mends it",
        ):
            telling.show(f"    {line}", "type")
        telling.show(f"  The daemon's log is {self._settings.data_dir / LOG}. Ctrl-C ends everything.")
        telling.show()


async def _free_port(host: str, port: int) -> int:
    """The port, or a free one when somebody listens there."""
    try:
        sockets = await listen(host, port)
    except ListenError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno != errno.EADDRINUSE:
            raise
        sockets = await listen(host, 0)
    free: int = sockets[0].getsockname()[1]
    for one in sockets:
        one.close()
    return free


def _url(host: str, port: int) -> str:
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what to type, not where to listen
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
