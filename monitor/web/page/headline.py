"""One sentence that answers what is broken, who serves, and whether anything is asked of whoever reads it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from monitor.storage.status import PurposeStatus, Status
from monitor.web.page.view_purposes import why_down
from monitor.web.page.views import Ask, Headline, PurposeView
from monitor.web.page.words import Tone, age, clock, listed, purposes_all

RECENT = timedelta(hours=1)


def tell(
    status: Status, purposes: Sequence[PurposeView], urgent: Sequence[Ask], later: Sequence[Ask]
) -> Headline:
    """The sentence, the second one below it, and the title."""
    asked = _asked(urgent, later)
    broken = [one for one in purposes if one.tone is Tone.BAD]
    if not purposes:
        return Headline(
            tone=Tone.UNKNOWN, text="No purpose is served yet.", more=asked, title="nothing served yet"
        )
    if broken:
        rows = {one.purpose: one for one in status.purposes}
        text = " ".join(_broken(status, rows[one.name], one) for one in broken)
        names = listed([one.name for one in broken])
        return Headline(tone=Tone.BAD, text=text, more=asked, title=f"{names}: trouble")
    recent = _recent(purposes, status.as_of)
    unknown = [one.name for one in purposes if one.tone is Tone.UNKNOWN]
    degraded = [one.name for one in purposes if one.tone is Tone.WARN]
    tone = Tone.WARN if urgent or degraded else Tone.UNKNOWN if unknown else Tone.OK
    if recent:
        text = f"{listed(recent)}."
    elif unknown:
        text = f"How {listed(unknown)} fares is not known yet."
    else:
        all_of_them = purposes_all([one.name for one in purposes])
        are = "is" if len(purposes) == 1 else "are"
        text = f"{all_of_them} {are} served."
        text = text[:-1] + f", {listed(degraded)} with a warning." if degraded else text
    return Headline(tone=tone, text=text, more=asked, title="all served" if not unknown else "not known yet")


def _broken(status: Status, row: PurposeStatus, purpose: PurposeView) -> str:
    if row.stranded_since is not None:
        return (
            f"{purpose.name} has nobody fit to serve since {clock(row.stranded_since, status.as_of)} "
            f"({age(status.as_of - row.stranded_since)})."
        )
    if purpose.pinned and purpose.active is not None:
        return f"{purpose.name} is pinned to {purpose.active.name}, which is not fit to serve."
    return f"{purpose.name} is down: {why_down(status, row)}."


def _recent(purposes: Sequence[PurposeView], now: datetime) -> list[str]:
    found = []
    for one in sorted(purposes, key=lambda one: one.since or now, reverse=True):
        if one.since is None or one.active is None or now - one.since > RECENT or not one.by_rule:
            continue
        found.append(f"{one.name} moved to {one.active.name} {age(now - one.since)} ago")
    return found


def _asked(urgent: Sequence[Ask], later: Sequence[Ask]) -> str:
    if urgent:
        count = "One thing is" if len(urgent) == 1 else f"{len(urgent)} things are"
        return f"{count} asked of you now."
    if later:
        count = "one thing is" if len(later) == 1 else f"{len(later)} things are"
        return f"Nothing is asked of you now; {count} for when you have time."
    return "Nothing is asked of you."
