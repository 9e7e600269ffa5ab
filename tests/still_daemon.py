"""What the HTTP door asks of a daemon, where a test looks at the door alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.domain.provider import Purpose
from monitor.web.state import Role


@dataclass
class StillDaemon:
    """A daemon that says the same whenever it is asked.

    Attributes:
        its_role: what it does.
        reasons: why it is not ready.
        healths: of the purposes.
        waiting: results on its disk.
    """

    its_role: Role = "standby"
    reasons: list[str] = field(default_factory=list)
    healths: Mapping[Purpose, str] = field(default_factory=dict)
    waiting: int = 0

    def role(self) -> Role:
        return self.its_role

    def readiness(self) -> list[str]:
        return self.reasons

    def purposes(self) -> Mapping[Purpose, str]:
        return self.healths

    def results_waiting(self) -> int:
        return self.waiting
