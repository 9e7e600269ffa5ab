"""The whole terminal for one picture: the alternate screen and quiet keys, and afterwards all as it was."""

import asyncio
import os
import signal
import sys
import termios
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

ENDING_KEYS = b"qQ"
_LOCAL_MODES = 3


class Terminal:
    """Shows pictures on the alternate screen from `open` to `close`; Ctrl-C, Ctrl-Z and `q` work."""

    def __init__(self, *, redraw: Callable[[], None], end: Callable[[int], None]) -> None:
        """Nothing is changed yet.

        Args:
            redraw: called when the size has changed, or the screen is ours again.
            end: called with the exit code when somebody wants to end it.
        """
        self._redraw = redraw
        self._end = end
        self._console = Console(highlight=False)
        self._live: Live | None = None
        self._keys: Any = None

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return self._console.size.width, self._console.size.height

    def open(self) -> None:
        """Take the screen, the keys and the signals that concern them."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._end, 0)
        loop.add_signal_handler(signal.SIGTERM, self._end, 128 + signal.SIGTERM)
        loop.add_signal_handler(signal.SIGWINCH, self._redraw)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        if sys.stdin.isatty():
            loop.add_reader(sys.stdin.fileno(), self._read_keys)
        self._take()

    def close(self) -> None:
        """Give everything back."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGWINCH, signal.SIGTSTP):
            loop.remove_signal_handler(number)
        if sys.stdin.isatty():
            loop.remove_reader(sys.stdin.fileno())
        self._give_back()

    def show(self, lines: Sequence[Text]) -> None:
        """Draw one picture over the one before."""
        if self._live is not None:
            self._live.update(Group(*lines), refresh=True)

    def _take(self) -> None:
        if sys.stdin.isatty():
            self._keys = termios.tcgetattr(sys.stdin.fileno())
            quiet = termios.tcgetattr(sys.stdin.fileno())
            quiet[_LOCAL_MODES] &= ~(termios.ICANON | termios.ECHO)  # one key at a time, and none is shown
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, quiet)
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _give_back(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._keys is not None:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._keys)
            self._keys = None

    def _suspend(self) -> None:
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)  # the line after this one runs when the shell says so
        self._take()
        self._redraw()

    def _read_keys(self) -> None:
        keys = os.read(sys.stdin.fileno(), 1024)
        if not keys:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        elif set(keys) & set(ENDING_KEYS):
            self._end(0)
