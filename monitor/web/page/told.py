"""What an act came to, in a sentence."""

from collections.abc import Callable
from datetime import datetime

from monitor.domain.acts import Act
from monitor.domain.provider import ProviderRef
from monitor.storage.operator import Acted, MaintenanceSet
from monitor.web.page.plans import instant

UNCHANGED = "Nothing has changed: it was so already."


def tell_act(acted: Acted, name: Callable[[ProviderRef | None], str], at: datetime, *, held: bool) -> str:
    """What an act on a purpose came to.

    Args:
        acted: the act.
        name: the operator's names.
        at: when, by the database's clock.
        held: whether a return is held now.
    """
    purpose, active = acted.purpose, name(acted.active)
    if acted.left is not None:
        serves = f"{purpose} is served by {active} since {at:%H:%M:%S} UTC."
    else:
        serves = f"{purpose} is served by {active}, as before."
    match acted.act:
        case Act.PIN:
            words = f"{serves} It is pinned there {_until(acted.until, 'until it is unpinned')}."
        case Act.PROMOTE if held:
            words = f"{serves} It does not return by itself {_until(acted.until, 'before it is unpinned')}."
        case Act.PROMOTE:
            words = f"{serves} That is the preferred one: nothing is held."
        case Act.UNPIN:
            words = f"{purpose} is free again: {active} serves, and the rules decide."
        case Act.PAUSE:
            words = (
                f"{purpose} is paused since {at:%H:%M:%S} UTC: {active} keeps serving until it is resumed."
            )
        case Act.RESUME:
            words = f"{purpose} is resumed: {active} serves, and the rules decide again."
        case _:
            words = serves
    return words if acted.changed else f"{words} {UNCHANGED}"


def tell_maintenance(found: MaintenanceSet, *, ended: bool) -> str:
    """What an act on a provider's maintenance came to."""
    name, span = found.name or str(found.provider), found.span
    if ended and not found.changed:
        words = f"{name} is not in maintenance."
    elif ended:
        words = f"{name} may serve again." if span else f"The planned maintenance of {name} is called off."
    elif span is not None and found.lasts:
        words = f"{name} is out of service {_until(span.until, 'until somebody ends it')}."
    elif span is not None:
        until = _until(span.until, "until somebody ends it")
        words = f"{name} will be out of service from {instant(span.since)}, {until}."
    else:
        words = f"{name} is in service."
    return words if found.changed else f"{words} {UNCHANGED}"


def _until(end: datetime | None, otherwise: str) -> str:
    return f"until {instant(end)}" if end is not None else otherwise
