"""What an operator may do to a purpose or to a provider, by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from monitor.domain.provider import ProviderRef


class Act(StrEnum):
    """One act; as it is stored, audited and told."""

    CHOOSE = "choose"
    PROMOTE = "promote"
    PIN = "pin"
    UNPIN = "unpin"
    PAUSE = "pause"
    RESUME = "resume"
    CANDIDATES = "candidates"
    MAINTENANCE = "maintenance"
    END_MAINTENANCE = "end_maintenance"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActRecord:
    """One act that was done.

    Attributes:
        at: by the database's clock.
        act: which; a word of a later version stays a word.
        provider: on whom; None for an act on the purpose.
        by: who, and why.
        detail: what it said, as JSON has it.
    """

    at: datetime
    act: str
    provider: ProviderRef | None
    by: str
    detail: Mapping[str, Any]


OPERATOR = "operator"
ADOPTED = "adopted"
OPERATORS = frozenset({OPERATOR, ADOPTED, str(Act.PROMOTE), str(Act.PIN)})
"""Under which rules an operator has named who serves: `operator` for a choice, by whichever way."""
