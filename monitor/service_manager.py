"""Tells systemd how the daemon fares, by its notify protocol (`man sd_notify`); nothing where nobody asks."""

import re
import socket
import time
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Self

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LONGEST_STATUS = 500
_OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class ServiceManager:
    """Whoever started us and wants to know, or nobody.

    Attributes:
        watchdog: it restarts us when it hears nothing for so long; None when it does not.
    """

    def __init__(self, address: str | None = None, watchdog: timedelta | None = None) -> None:
        """Nothing is sent yet.

        Args:
            address: a datagram socket's path; one that begins with @ is abstract. None: nobody listens.
            watchdog: see above.
        """
        self._address = None if address is None else _unix_address(address)
        self._socket: socket.socket | None = None
        self.watchdog = watchdog if self._address is not None else None

    @classmethod
    def from_environment(cls, env: MutableMapping[str, str], pid: int) -> Self:
        """The one that the environment names, taken out of it: no child of ours shall speak for us.

        Args:
            env: the environment.
            pid: our own; a watchdog may be meant for another process.
        """
        address, microseconds, meant = (env.pop(name, "") for name in _OURS)
        watchdog = None
        if microseconds.isdecimal() and int(microseconds) > 0 and meant in {"", str(pid)}:
            watchdog = timedelta(microseconds=int(microseconds))
        return cls(address or None, watchdog)

    def ready(self, status: str) -> bool:
        """We do our job, or do it again after a reload; whether that could be sent."""
        return self._send("READY=1", _status(status))

    def status(self, status: str) -> bool:
        """One line for a person; whether it could be sent."""
        return self._send(_status(status))

    def still_starting(self, patience: timedelta, status: str) -> bool:
        """The start takes longer: give it so long from now on; whether that could be sent."""
        microseconds = int(patience / timedelta(microseconds=1))
        return self._send(f"EXTEND_TIMEOUT_USEC={microseconds}", _status(status))

    def feed_watchdog(self) -> bool:
        """We live; whether that could be sent."""
        return self._send("WATCHDOG=1")

    def reloading(self) -> bool:
        """The settings are being read again, until `ready`; whether that could be sent."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> bool:
        """We have begun to end; whether that could be sent."""
        return self._send("STOPPING=1", _status("ending"))

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
        self._socket = self._address = None

    def _send(self, *lines: str) -> bool:
        if self._address is None:
            return True
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False  # full, or gone for a moment: whoever calls says it again
        return True


def _unix_address(address: str) -> str | None:
    if address.startswith("@"):
        return "\0" + address[1:]
    return address if address.startswith("/") else None


def _status(text: str) -> str:
    # A line end would begin another message: an operator's name of a provider may hold anything.
    line = _CONTROL.sub(" ", text).encode(errors="replace").decode()
    return f"STATUS={line if len(line) <= _LONGEST_STATUS else line[: _LONGEST_STATUS - 3] + '...'}"
