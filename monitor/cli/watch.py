"""`llm-monitor status --watch`: the status as it changes, on a terminal, in a pipe, or as lines of JSON."""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from monitor.cli.database import find_database, open_database
from monitor.cli.layout import draws
from monitor.cli.status_page import show
from monitor.cli.status_report import as_json
from monitor.cli.watch_screen import Picture, compose, instant
from monitor.logs import configure
from monitor.settings import SettingsError
from monitor.storage.embedded_folder import EmbeddedError
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.listener import CONFIGURATION_CHANNEL, HEALTH_CHANNEL, Listener
from monitor.storage.purposes import ACTIVE_CHANNEL
from monitor.storage.status import Status, read_status
from monitor.storage.visit import VisitRefused

if TYPE_CHECKING:
    from monitor.settings import Settings

CHANNELS = (ACTIVE_CHANNEL, HEALTH_CHANNEL, CONFIGURATION_CHANNEL)
LOOK_SECONDS = 2.0
SHARE = 0.05
PAUSE_SECONDS = 0.25
AWAY_SECONDS = 1.0
ANSWER_SECONDS = 10.0
MOVES = 20
ENDS = "q or Ctrl-C ends this"

_AWAY = (VisitRefused, EmbeddedError, SettingsError, *STORE_ERRORS)
_FIGURES = {
    "as_of",
    "bad_news",  # it tells how long a daemon has been silent; what it follows from is there without figures
    "silent_seconds",
    "last_probe_at",
    "light_probe_at",
    "latency_seconds",
    "ttft_seconds",
    "uptime",
}


class Audience(Protocol):
    """Who is told."""

    def tell(self, status: Status) -> None:
        """What was read now."""

    def miss(self, reason: str) -> None:
        """The database does not answer."""


async def watch(settings: "Settings", first: Status, database: str, *, json_lines: bool) -> int:
    """Tell the status and its changes until somebody ends it.

    Args:
        settings: where the database is.
        first: as it was just read.
        database: how to reach it, without a password.
        json_lines: an object a line, whatever standard output is.

    Returns:
        The exit code.
    """
    configure(level="critical", format="console", stream=sys.stderr)  # the audience is told what matters
    if json_lines:
        return await _follow(settings, _Changes(first, lambda found: _print_line(found, database)))
    if sys.stdout.isatty():
        return await _fill_terminal(settings, first)
    return await _follow(settings, _Changes(first, lambda found: _print_page(found, database)))


class _Changes:
    """Prints what it is told whenever more than times and figures of single probes has changed."""

    def __init__(self, first: Status, print_: Callable[[Status], None]) -> None:
        self._print = print_
        self._printed: Any = None
        self._away = False
        self.tell(first)

    def tell(self, status: Status) -> None:
        if self._away:
            print("llm-monitor: the database answers again", file=sys.stderr, flush=True)
            self._away = False
        found = without_figures(as_json(status, ""))
        if found != self._printed:
            self._print(status)
            self._printed = found

    def miss(self, reason: str) -> None:
        if not self._away:
            print(f"llm-monitor: {reason}; waiting for it", file=sys.stderr, flush=True)
            self._away = True


class _Whole:
    """Fills a terminal with the last picture."""

    def __init__(self, first: Status, draw: Callable[[Picture], None]) -> None:
        self._draw = draw
        self._status = first
        self._read_at = asyncio.get_running_loop().time()
        self._away: str | None = None

    def tell(self, status: Status) -> None:
        self._status, self._away = status, None
        self._read_at = asyncio.get_running_loop().time()
        self.draw()

    def miss(self, reason: str) -> None:
        self._away = reason
        self.draw()

    def draw(self) -> None:
        """Draw what is known, as old as it is."""
        old = timedelta(seconds=asyncio.get_running_loop().time() - self._read_at)
        self._draw(Picture(status=self._status, age=old, away=self._away, ends=ENDS))


async def _fill_terminal(settings: "Settings", first: Status) -> int:
    from monitor.cli.watch_terminal import Terminal

    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    def draw(picture: Picture) -> None:
        width, height = terminal.size
        terminal.show(compose(picture, width, height, drawn=draws()))

    whole = _Whole(first, draw)
    terminal = Terminal(redraw=whole.draw, end=end)
    terminal.open()
    try:
        whole.draw()
        tasks = [asyncio.create_task(_follow(settings, whole)), asyncio.create_task(_tick(whole))]
        waiting: list[asyncio.Future[Any]] = [ended, *tasks]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for found in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(found, Exception):
                raise found
        return ended.result()
    finally:
        terminal.close()


async def _tick(whole: _Whole) -> None:
    """Let the age of the picture go on when nothing else does."""
    while True:
        await asyncio.sleep(AWAY_SECONDS)
        whole.draw()


async def _follow(settings: "Settings", audience: Audience) -> int:
    """Read again on every notification, and every few seconds; never ends by itself."""
    changed = asyncio.Event()
    listener = Listener(
        find_database(settings), CHANNELS, on_notify=lambda *_: changed.set(), on_reconnect=changed.set
    )
    listening = asyncio.create_task(listener.run())
    try:
        while True:
            try:
                async with open_database(settings, command_timeout=ANSWER_SECONDS) as connection:
                    await _read_again(connection, audience, changed)
            except _AWAY as error:
                audience.miss(" ".join(str(error).split()) or type(error).__name__)
            await asyncio.sleep(AWAY_SECONDS)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _read_again(connection: Any, audience: Audience, changed: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    while True:
        changed.clear()
        began = loop.time()
        audience.tell(await read_status(connection, transitions=MOVES))
        took = loop.time() - began
        # What comes at once is read at once together; and a large database is not kept busy by watching.
        await asyncio.sleep(max(PAUSE_SECONDS, took / SHARE / 10))
        try:
            async with asyncio.timeout(max(LOOK_SECONDS, took / SHARE)):
                await changed.wait()
        except TimeoutError:
            continue


def without_figures(told: Any) -> Any:
    """An answer without what changes by itself: times, ages and figures of single probes."""
    if isinstance(told, Mapping):
        return {name: without_figures(value) for name, value in told.items() if name not in _FIGURES}
    if isinstance(told, list):
        return [without_figures(one) for one in told]
    return told


def _print_line(status: Status, database: str) -> None:
    print(json.dumps(as_json(status, database)), flush=True)


def _print_page(status: Status, database: str) -> None:
    print(f"--- {instant(status.as_of)} UTC")
    show(status, database)
    print(flush=True)
