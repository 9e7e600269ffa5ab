"""One line that says who serves each purpose, for whoever looks at the service and not at the program."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.provider import Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Who serves one purpose.

    Attributes:
        purpose: what for.
        name: the operator's.
        status: how it is.
        stranded: it is not fit, and nobody else is.
        pinned: an operator keeps it there.
        paused: an operator lets nothing move.
    """

    purpose: Purpose
    name: str
    status: ApplicationStatus
    stranded: bool = False
    pinned: bool = False
    paused: bool = False

    def __str__(self) -> str:
        flags = [word for word in ("stranded", "pinned", "paused") if getattr(self, word)]
        return f"{self.purpose}: {self.name} ({', '.join([str(self.status), *flags])})"


def standing_line(
    servings: Sequence[Serving] | None, *, reason: str | None = None, complaint: str | None = None
) -> str:
    """The line.

    Args:
        servings: by purpose; None while this daemon does not decide.
        reason: what keeps it from deciding, or None.
        complaint: what an operator has to mend, or None.
    """
    parts = []
    if servings is not None:
        parts.append("; ".join(map(str, servings)) or "no purpose has a provider yet")
    if reason is not None:
        parts.append(reason if servings is None else f"{reason}: nothing moves")
    return " | ".join([*parts, complaint] if complaint is not None else parts) or "starting"
