"""What a status amounts to, in words: for the command line and for the HTTP door alike."""

from datetime import datetime

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.provider import ProviderRef
from monitor.storage.status import Belief, ProviderStatus, PurposeStatus, Status


def effective(belief: Belief, now: datetime) -> ApplicationStatus:
    """The word for a belief at `now`: what is too old to act on is not known."""
    stale = belief.stale_at is not None and belief.stale_at <= now
    return ApplicationStatus.UNKNOWN if stale else belief.status


def purpose_health(status: Status, purpose: PurposeStatus) -> ApplicationStatus:
    """The word for a purpose: that of the one that serves it; one that is gone is down."""
    provider = find_provider(status, purpose.active)
    if provider is None or not provider.enabled:
        return ApplicationStatus.DOWN
    for belief in provider.beliefs:
        if belief.purpose == purpose.purpose:
            return effective(belief, status.as_of)
    return ApplicationStatus.UNKNOWN


def find_provider(status: Status, ref: ProviderRef | None) -> ProviderStatus | None:
    """A provider by its row, or None."""
    return None if ref is None else status.by_ref.get(ref)


def is_pinned(purpose: PurposeStatus, now: datetime) -> bool:
    """Whether an operator's pin holds."""
    return purpose.pinned is not None and (purpose.pinned_until is None or purpose.pinned_until > now)


def is_held(purpose: PurposeStatus, now: datetime) -> bool:
    """Whether an operator's promotion holds the return."""
    return purpose.held and (purpose.held_until is None or purpose.held_until > now)


def is_pinned_to_unfit(status: Status, purpose: PurposeStatus) -> bool:
    """Whether an operator pinned one that is not fit to serve, as far as anything is believed of it."""
    provider = find_provider(status, purpose.active)
    if provider is None or not is_pinned(purpose, status.as_of):
        return False
    return any(
        one.purpose == purpose.purpose
        and (not one.eligible or effective(one, status.as_of) is ApplicationStatus.UNKNOWN)
        for one in provider.beliefs
    )


def in_maintenance(provider: ProviderStatus, now: datetime) -> bool:
    """Whether an operator has taken it out of service."""
    return provider.maintenance is not None and provider.maintenance.holds(now)
