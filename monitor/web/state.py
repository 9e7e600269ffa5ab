"""What the HTTP door asks the daemon."""

from collections.abc import Mapping
from typing import Literal, Protocol

from monitor.domain.target import Purpose

Role = Literal["starting", "active", "standby"]


class DaemonState(Protocol):
    """The running daemon, asked on its event loop; every answer comes from memory, at once."""

    def role(self) -> Role:
        """Whether it acts, or waits for the daemon that does."""
        ...

    def readiness(self) -> list[str]:
        """Why it is not ready, a sentence each; empty when it is."""
        ...

    def purposes(self) -> Mapping[Purpose, str]:
        """The health of what serves each configured purpose, in the application's words."""
        ...

    def results_waiting(self) -> int:
        """How many results wait on its disk for the database."""
        ...
