"""A span in which a provider is out of service by an operator's word."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """One span.

    Attributes:
        since: its beginning, which may be yet to come.
        until: its end, which may have passed; None until an operator ends it.
    """

    since: datetime
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether it lasts at `now`."""
        return self.since <= now and (self.until is None or now < self.until)

    def next_change(self, now: datetime) -> datetime | None:
        """When it begins or ends after `now`; None when it does neither any more."""
        if self.until is not None and (self.until <= now or self.until <= self.since):
            return None
        return self.since if self.since > now else self.until
