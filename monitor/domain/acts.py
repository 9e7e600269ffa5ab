"""What an operator may do to a purpose or to a provider, by name."""

from enum import StrEnum


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


OPERATOR = "operator"
ADOPTED = "adopted"
OPERATORS = frozenset({OPERATOR, ADOPTED, str(Act.PROMOTE), str(Act.PIN)})
"""Under which rules an operator has named who serves: `operator` for a choice, by whichever way."""
