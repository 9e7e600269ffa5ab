"""One sentence that answers what is broken, who serves, and whether anything is asked of whoever reads it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from markupsafe import Markup

from monitor.storage.status import Status
from monitor.web.page.asks import is_alone
from monitor.web.page.instants import ago
from monitor.web.page.view_providers import tone_of
from monitor.web.page.view_purposes import why_down
from monitor.web.page.views import Ask, Headline, PurposeView
from monitor.web.page.words import Tone, clock, listed, purposes_all

RECENT = timedelta(hours=1)
MOST_NAMED = 3


def tell(
    status: Status, purposes: Sequence[PurposeView], urgent: Sequence[Ask], later: Sequence[Ask]
) -> Headline:
    """The sentence, the second one below it, and the title."""
    asked, news = f"{_down(status)}{_asked(urgent, later)}", _news(purposes, urgent)
    broken = [one for one in purposes if one.tone is Tone.BAD]
    if not purposes:
        return Headline(
            tone=Tone.WARN if urgent else Tone.UNKNOWN,
            text="No purpose is served yet.",
            more=asked if urgent or later else "How to begin stands below.",
            title="nothing served yet",
            news=news,
        )
    if broken:
        text: str = Markup(" ").join(_broken(status, broken))
        names = listed([one.name for one in broken])
        return Headline(tone=Tone.BAD, text=text, more=asked, title=f"{names}: trouble", news=news)
    recent = _recent(purposes, status.as_of)
    unknown = [one.name for one in purposes if one.tone is Tone.UNKNOWN]
    degraded = [one.name for one in purposes if one.tone is Tone.WARN]
    alone = any(is_alone(one) for one in purposes)
    tone = Tone.WARN if urgent or degraded or alone else Tone.UNKNOWN if unknown else Tone.OK
    if recent:
        text = Markup("{}.").format(Markup(listed(recent)))  # noqa: S704 - each of them is escaped
    elif unknown:
        text = f"How {listed(unknown)} fares is not known yet."
    else:
        all_of_them = purposes_all([one.name for one in purposes])
        are = "is" if len(purposes) == 1 else "are"
        text = f"{all_of_them} {are} served."
        text = text[:-1] + f", {listed(degraded)} with a warning." if degraded else text
    title = "not known yet" if unknown else "something is asked of you" if urgent else "all served"
    return Headline(tone=tone, text=text, more=asked, title=title, news=news)


def _news(purposes: Sequence[PurposeView], urgent: Sequence[Ask]) -> str:
    served = [
        f"{one.name} {one.active.ref if one.active else 'nobody'} {'bad' if one.tone is Tone.BAD else ''}"
        for one in purposes
    ]
    return "; ".join([*served, *sorted({one.about for one in urgent})])


def _broken(status: Status, broken: Sequence[PurposeView]) -> list[Markup]:
    rows = {one.purpose: one for one in status.purposes}
    told: list[Markup] = []
    stranded = [one for one in broken if one.stranded_since is not None]
    if stranded:
        began = min(one.stranded_since for one in stranded if one.stranded_since is not None)
        have = "has" if len(stranded) == 1 else "have"
        told.append(
            Markup("{} {} nobody fit to serve since {} ({}).").format(
                listed([one.name for one in stranded]),
                have,
                clock(began, status.as_of),
                ago(began, status.as_of),
            )
        )
    for one in broken:
        if one.stranded_since is not None:
            continue
        if one.pinned and one.active is not None:
            pinned = Markup("{} is pinned to {}, which is not fit to serve.")
            told.append(pinned.format(one.name, one.active.name))
        else:
            told.append(Markup("{} is down: {}.").format(one.name, why_down(status, rows[one.name])))
    return told


def _recent(purposes: Sequence[PurposeView], now: datetime) -> list[Markup]:
    found: list[Markup] = []
    for one in sorted(purposes, key=lambda one: one.since or now, reverse=True):
        if one.since is None or one.active is None or now - one.since > RECENT or not one.by_rule:
            continue
        left = f" from {one.left.name}" if one.left is not None else ""
        moved = Markup("{} moved{} to {} {}")
        found.append(moved.format(one.name, left, one.active.name, ago(one.since, now)))
    return found


def _down(status: Status) -> str:
    """Who is down, as a sentence and a blank; empty when nobody is."""
    names = [one.name or str(one.ref) for one in status.providers if tone_of(status, one) is Tone.BAD]
    if not names:
        return ""
    if len(names) > MOST_NAMED:
        return f"{len(names)} providers are down. "
    return f"{listed(names)} {'is' if len(names) == 1 else 'are'} down. "


def _asked(urgent: Sequence[Ask], later: Sequence[Ask]) -> str:
    if urgent:
        count = "One thing is" if len(urgent) == 1 else f"{len(urgent)} things are"
        return f"{count} asked of you now."
    if later:
        count = "one thing is" if len(later) == 1 else f"{len(later)} things are"
        return f"Nothing is asked of you now; {count} for when you have time."
    return "Nothing is asked of you."
