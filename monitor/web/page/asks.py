"""What is asked of whoever reads the page: now, even at night, or when there is time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from monitor.domain.eligibility import Block
from monitor.domain.provider import ProviderRef
from monitor.storage.daemons import DaemonRow
from monitor.storage.status import Status
from monitor.storage.status_words import is_pinned_to_unfit
from monitor.web.page.view_providers import name_provider
from monitor.web.page.view_purposes import why_down
from monitor.web.page.views import Ask, Fact, Named, PurposeView
from monitor.web.page.words import Tone, age

SILENT = timedelta(seconds=20)
"""A daemon says every 5 s that it lives; after this long without a word it counts as gone."""

MOST_NAMED = 4
LONG_PAUSE = timedelta(hours=4)
LOOK = {
    Block.AUTH: ("its key is refused", "Put a good key into its row."),
    Block.QUOTA: ("its credit or quota is used up", "Add credit, or raise the limit at the provider."),
    Block.MODEL_MISSING: ("it does not know the model", "Name a model that it has, or load that one again."),
}
"""What only a person can mend, and how."""


def collect(
    status: Status,
    purposes: Sequence[PurposeView],
    facts: Mapping[ProviderRef, Sequence[Fact]],
    waiting: int,
) -> tuple[tuple[Ask, ...], tuple[Ask, ...]]:
    """Everything that is asked: now, and when there is time.

    Args:
        status: everything.
        purposes: as they are shown.
        facts: what providers told of themselves, whether or not they are shown.
        waiting: results that wait on this daemon's disk for the database.
    """
    found = [
        *_about_daemons(status.daemons),
        *_about_purposes(status, purposes),
        *_about_blocks(status),
        *_about_facts(status, facts),
        *_about_problems(status),
    ]
    if waiting:
        text = f"{waiting:,} results wait on disk to be stored"
        found.append(
            Ask(urgent=False, about="The daemon", text=text, mend="See that the database takes writes.")
        )
    return tuple(one for one in found if one.urgent), tuple(one for one in found if not one.urgent)


def is_alive(daemon: DaemonRow) -> bool:
    """Whether a daemon has spoken lately."""
    return daemon.silent < SILENT


def is_alone(purpose: PurposeView) -> bool:
    """Whether a purpose is served, and would be by nobody else: of its other candidates none is ready."""
    others = [one for one in purpose.candidates if not one.serves]
    return (
        purpose.tone in (Tone.OK, Tone.WARN)
        and not purpose.paused
        and bool(others)
        and not any(one.ready for one in others)
        and any(one.tone is not Tone.UNKNOWN for one in others)
    )


def _bring_back(purpose: PurposeView) -> str:
    unfit = [one for one in purpose.candidates if not one.ready][:MOST_NAMED]
    if not unfit:
        return "Bring one of its candidates back."
    named = [
        f"{one.named.name} {one.obstacle}" + (f" ({one.outcome})" if one.outcome else "") for one in unfit
    ]
    return f"Bring one of its candidates back: {'; '.join(named)}."


def _about_daemons(daemons: Sequence[DaemonRow]) -> Iterable[Ask]:
    if any(one.role == "active" and is_alive(one) for one in daemons):
        return
    if any(is_alive(one) for one in daemons):
        text = "no daemon decides: those that run are waiting to take over"
        yield Ask(
            urgent=True, about="The daemon", text=text, mend="Look again in half a minute, then at its log."
        )
        return
    heard = min((one.silent for one in daemons), default=None)
    text = "no daemon runs" if heard is None else f"no daemon has been heard of for {age(heard)}"
    yield Ask(
        urgent=True,
        about="The daemon",
        text=f"{text}: nothing is probed, and nothing will move",
        mend="Start it.",
        command="llm-monitor run",
    )


def _about_purposes(status: Status, purposes: Sequence[PurposeView]) -> Iterable[Ask]:
    rows = {one.purpose: one for one in status.purposes}
    for shown in purposes:
        row = rows[shown.name]
        about, href = shown.name, f"#purpose-{shown.name}"
        bad = shown.tone is Tone.BAD
        if row.stranded_since is not None:
            yield Ask(
                urgent=True,
                about=about,
                text="nobody is fit to serve it",
                mend=f"{_bring_back(shown)} The first that passes a probe takes over by itself.",
                href=href,
            )
        elif is_pinned_to_unfit(status, row):
            yield Ask(
                urgent=True,
                about=about,
                text="it is pinned to a provider that is not fit to serve",
                mend="Let the rules decide again:",
                command=f"llm-monitor unpin {about}",
                href=href,
            )
        elif bad and row.paused:
            yield Ask(
                urgent=True,
                about=about,
                text=f"it is paused while {why_down(status, row)}",
                mend="Let the rules decide again:",
                command=f"llm-monitor resume {about}",
                href=href,
            )
        elif bad and shown.next is None:
            yield Ask(
                urgent=True,
                about=about,
                text=f"{why_down(status, row)}, and nobody is ready to take over",
                mend=_bring_back(shown),
                href=href,
            )
        elif is_alone(shown) and shown.active is not None:
            text = f"nobody is ready to take over from {shown.active.name}"
            yield Ask(urgent=False, about=about, text=text, mend=_bring_back(shown), href=href)
        elif row.paused_since is not None and status.as_of - row.paused_since > LONG_PAUSE:
            yield Ask(
                urgent=False,
                about=about,
                text=f"paused for {age(status.as_of - row.paused_since)}: nothing moves",
                mend="When the work is done:",
                command=f"llm-monitor resume {about}",
                href=href,
            )
        if shown.candidates and all(one.serves for one in shown.candidates):
            text = "no second provider is named for it: nobody would take over"
            yield Ask(urgent=False, about=about, text=text, mend="Name a fallback.", href=href)


def _about_blocks(status: Status) -> Iterable[Ask]:
    for provider in status.providers:
        found = {block for one in provider.beliefs for block in one.blocks}
        for block in sorted(found & LOOK.keys()) if found and provider.enabled else ():
            text, mend = LOOK[block]
            yield Ask(
                urgent=False,
                about=provider.name,
                text=text,
                mend=mend,
                href=f"/providers/{provider.ref.type}/{provider.ref.id}",
            )


def _about_facts(status: Status, facts: Mapping[ProviderRef, Sequence[Fact]]) -> Iterable[Ask]:
    for provider in status.providers:
        for fact in facts.get(provider.ref, ()) if provider.enabled else ():
            if fact.tone is not Tone.OK:
                yield _about_fact(name_provider(status, provider.ref), fact)


def _about_fact(named: Named, fact: Fact) -> Ask:
    if fact.at is not None:
        ended = fact.tone is Tone.BAD
        text = "its certificate has ended" if ended else f"its certificate ends on {fact.at:%d %b %Y}"
        return Ask(urgent=False, about=named.name, text=text, mend="Renew it.", href=named.href)
    text = f"{fact.text} of credit left"
    return Ask(urgent=False, about=named.name, text=text, mend="Add credit.", href=named.href)


def _about_problems(status: Status) -> Iterable[Ask]:
    for one in status.problems:
        yield Ask(urgent=False, about="Configuration", text=one.message)
