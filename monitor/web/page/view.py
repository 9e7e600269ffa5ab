"""The page of what was read: everything put together."""

from collections.abc import Callable, Mapping

from monitor.domain.outcome import OUTCOME_WORDS, VOTES, ProbeResult, Vote
from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import ProbeKind
from monitor.storage.daemons import DaemonRow
from monitor.storage.page import PageRecord, ProviderRecord
from monitor.storage.present import explain_noted
from monitor.storage.status import Status
from monitor.web.page.asks import collect, is_alive
from monitor.web.page.headline import tell
from monitor.web.page.view_events import merge, view_events
from monitor.web.page.view_providers import view_facts, view_provider
from monitor.web.page.view_purposes import view_purpose
from monitor.web.page.views import DaemonView, PageView, ProbeView, ProviderPageView, PurposeView, Shelf
from monitor.web.page.words import Tone, age, is_purpose, seconds

_VOTE_TONES = {Vote.PASS: Tone.OK, Vote.FAILURE: Tone.BAD, Vote.BLOCK: Tone.BAD}


def view_page(
    record: PageRecord, shelf: Shelf, policy_for: Callable[[Purpose], Policy], waiting: int
) -> PageView:
    """Everything that the page shows.

    Args:
        record: as it was read.
        shelf: which providers are shown.
        policy_for: the policy in force.
        waiting: results that wait on this daemon's disk.
    """
    status, names = record.status, _names(record)
    purposes = _purposes(record, policy_for, names)
    facts = {ref: view_facts(status, told) for ref, told in record.told.items()}
    providers = tuple(
        view_provider(status, one, facts.get(one.ref, ()), record.drawn) for one in record.shown
    )
    urgent, later = collect(status, purposes, facts, waiting)
    return PageView(
        as_of=status.as_of,
        headline=tell(status, purposes, urgent, later),
        urgent=urgent,
        later=later,
        purposes=purposes,
        providers=providers,
        shelf=shelf,
        events=merge([view_events(one, record.since, names) for one in record.purposes.values()]),
        events_since=record.since,
        daemons=tuple(view_daemon(status, one) for one in status.daemons),
        state=_state(status),
    )


def view_provider_page(record: ProviderRecord) -> ProviderPageView:
    """Everything that a provider's own page shows."""
    status = record.status
    return ProviderPageView(
        as_of=status.as_of,
        provider=view_provider(status, record.shown, view_facts(status, record.told), record.drawn),
        probes=tuple(_probe(one) for one in record.results),
    )


def _probe(result: ProbeResult) -> ProbeView:
    vote = VOTES[result.outcome]
    return ProbeView(
        at=result.started_at,
        purpose=str(result.target.purpose or ""),
        kind="probe" if result.kind is ProbeKind.DEEP else "free check",
        tone=_VOTE_TONES.get(vote, Tone.WARN),
        outcome=OUTCOME_WORDS[result.outcome],
        latency=seconds(result.latency_seconds),
        ttft=seconds(result.ttft_seconds),
        status="" if result.http_status is None else str(result.http_status),
        detail=result.detail,
    )


def view_daemon(status: Status, daemon: DaemonRow) -> DaemonView:
    """One daemon."""
    alive = is_alive(daemon)
    return DaemonView(
        role=("decides" if daemon.role == "active" else "stands by") if alive else "silent",
        place=f"{daemon.host}:{daemon.pid}",
        version=daemon.version,
        started_at=daemon.started_at,
        silent=age(daemon.silent),
        alive=alive,
    )


def _purposes(
    record: PageRecord, policy_for: Callable[[Purpose], Policy], names: Mapping[ProviderRef, str]
) -> tuple[PurposeView, ...]:
    found = []
    for row in record.status.purposes:
        noted = record.purposes[Purpose(row.purpose)].noted if is_purpose(row.purpose) else None
        present = explain_noted(noted, policy_for(noted.purpose)) if noted is not None else None
        found.append(view_purpose(record.status, row, present, names, record.drawn))
    return tuple(found)


def _names(record: PageRecord) -> dict[ProviderRef, str]:
    names = {ref: name for one in record.purposes.values() for ref, name in one.noted.names.items()}
    for one in record.purposes.values():
        for move in one.moves:
            for ref, name in ((move.turn.left, move.left_name), (move.turn.onto, move.onto_name)):
                if ref is not None and name is not None:
                    names.setdefault(ref, name)
    return names


def _state(status: Status) -> str:
    if not status.providers:
        return "empty"
    return "configured" if status.purposes else "unserved"
