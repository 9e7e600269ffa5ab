"""What an act on a provider is going to do, in sentences with names."""

from collections.abc import Sequence

from monitor.domain.provider import Purpose
from monitor.storage.outlook import ProviderOutlook
from monitor.web.page.plans import Choice, Plan, instant


def plan_maintenance(outlook: ProviderOutlook) -> Plan:
    """What taking a provider out of service is going to do."""
    name, span = outlook.name or str(outlook.ref), outlook.maintenance
    serves = _listed(outlook.serves)
    if outlook.serves:
        moves = (
            f"What it serves then ({serves} now) moves onto the next one that is fit and passes a probe; "
            "with nobody else fit it stays."
        )
    else:
        moves = "It serves nothing now, and nothing will move onto it by itself."
    when = "from now on, or from the beginning chosen below"
    will = f"{name} will be out of service in every purpose, {when}. {moves} Probes of it go on."
    warning = None
    if span is not None and span.holds(outlook.now):
        will = (
            f"{name} is in maintenance already ({outlook.maintenance_by}): it keeps its beginning, and "
            "gets the end chosen below."
        )
    elif span is not None:
        warning = (
            f"A maintenance is planned already, from {instant(span.since)} on ({outlook.maintenance_by}): "
            "this one takes its place."
        )
    return Plan(
        title=f"Maintenance of {name}",
        will=will,
        button="Take it out of service",
        seen=outlook.seen,
        warning=warning,
        no_end="until somebody ends it",
        asks_begin=True,
    )


def plan_end_of_maintenance(outlook: ProviderOutlook) -> Plan:
    """What putting a provider into service again is going to do."""
    name, span = outlook.name or str(outlook.ref), outlook.maintenance
    if span is None:
        will = f"{name} is not in maintenance: nothing will change."
    elif span.holds(outlook.now):
        will = f"{name} may serve again from now on. Purposes return to it by the rules, after their hold."
    else:
        will = f"The maintenance of {name} that was to begin at {instant(span.since)} is called off."
    return Plan(title=f"End the maintenance of {name}", will=will, button="End it", seen=outlook.seen)


def plan_probe(outlook: ProviderOutlook, wanted: Purpose | None = None) -> Plan:
    """What probing a provider now is going to do."""
    name = outlook.name or str(outlook.ref)
    choices = tuple(
        Choice(value=str(one), name=str(one), words="a real request, as that purpose makes it")
        for one in outlook.purposes
    )
    known = next((one for one in choices if one.value == wanted), None)
    if choices:
        will = (
            f"{name} is asked once now, by a real and very short request. The result counts like that of "
            "any other probe: it alone moves nothing."
        )
    else:
        will = f"{name} is probed for no purpose: it is looked at once now, without a request that costs."
    return Plan(
        title=f"Probe {name} now",
        will=will,
        button="Probe now",
        choices=choices,
        chosen=known or (choices[0] if choices else None),
        fixed=known is not None or len(choices) == 1,
        legend="For which purpose",
        field="for_purpose",
        asks_reason=False,
    )


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
