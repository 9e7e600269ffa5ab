"""What is asked of whoever reads the page: now, even at night, or when there is time."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from monitor.domain.eligibility import Block
from monitor.storage.daemons import DaemonRow
from monitor.storage.status import Status
from monitor.storage.status_words import is_pinned_to_unfit
from monitor.web.page.view_purposes import why_down
from monitor.web.page.views import Ask, Fact, ProviderView, PurposeView
from monitor.web.page.words import Tone, age

SILENT = timedelta(seconds=20)
"""A daemon says every 5 s that it lives; after this long without a word it counts as gone."""

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
    providers: Sequence[ProviderView],
    waiting: int,
) -> tuple[tuple[Ask, ...], tuple[Ask, ...]]:
    """Everything that is asked: now, and when there is time.

    Args:
        status: everything.
        purposes: as they are shown.
        providers: those that are shown, with what they told of themselves.
        waiting: results that wait on this daemon's disk for the database.
    """
    found = [
        *_about_daemons(status.daemons),
        *_about_purposes(status, purposes),
        *_about_blocks(status),
        *_about_facts(providers),
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
                mend="Bring one of its candidates back; the first that passes a probe takes over by itself.",
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
                mend="Bring one of its candidates back.",
                href=href,
            )
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
        blocks = sorted({block for one in provider.beliefs for block in one.blocks} & LOOK.keys())
        for block in blocks if provider.enabled else ():
            text, mend = LOOK[block]
            yield Ask(
                urgent=False,
                about=provider.name,
                text=text,
                mend=mend,
                href=f"/providers/{provider.ref.type}/{provider.ref.id}",
            )


def _about_facts(providers: Sequence[ProviderView]) -> Iterable[Ask]:
    for provider in providers:
        for fact in provider.facts if provider.enabled else ():
            if fact.tone is not Tone.OK:
                yield _about_fact(provider, fact)


def _about_fact(provider: ProviderView, fact: Fact) -> Ask:
    name, href = provider.named.name, provider.named.href
    if fact.at is not None:
        ended = fact.tone is Tone.BAD
        text = "its certificate has ended" if ended else f"its certificate ends on {fact.at:%d %b %Y}"
        return Ask(urgent=False, about=name, text=text, mend="Renew it.", href=href)
    text = f"{fact.text} of credit left"
    return Ask(urgent=False, about=name, text=text, mend="Add credit.", href=href)


def _about_problems(status: Status) -> Iterable[Ask]:
    for one in status.problems:
        yield Ask(urgent=False, about="Configuration", text=one.message)
