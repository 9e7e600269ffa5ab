"""Who serves each purpose, since when, why, and who is next: in words."""

from collections.abc import Mapping

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.explanation import Explanation, Standpoint
from monitor.domain.outcome import OUTCOME_WORDS, Outcome
from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.drawn import Drawn
from monitor.storage.present import Present
from monitor.storage.purposes import AUTOMATIC
from monitor.storage.status import PurposeStatus, Status
from monitor.storage.status_words import (
    find_provider,
    is_held,
    is_pinned,
    is_pinned_to_unfit,
    purpose_health,
)
from monitor.web.page.view_past import purpose_bars, purpose_spans
from monitor.web.page.view_providers import name_provider
from monitor.web.page.views import CandidateView, PurposeView
from monitor.web.page.words import RULE_WORDS, TONES, Tone, clock, is_purpose, reason_in_words

_STATE_TONES = {"up": Tone.OK, "down": Tone.BAD, "unknown": Tone.UNKNOWN, "not probed": Tone.UNKNOWN}


def view_purpose(
    status: Status,
    purpose: PurposeStatus,
    present: Present | None,
    names: Mapping[ProviderRef, str],
    drawn: Drawn,
) -> PurposeView:
    """One purpose.

    Args:
        status: read at the same moment.
        purpose: its part of it.
        present: what is noted of it; None for a purpose that is none of ours.
        names: of providers that moves name.
        drawn: what is drawn of the past.
    """
    own = Purpose(purpose.purpose) if is_purpose(purpose.purpose) else None
    explanation = present.explanation if present is not None else None
    move = present.move if present is not None else None
    brought = move if move is not None and move.turn.rule == purpose.rule else None

    def name(ref: ProviderRef) -> str:
        return name_provider(status, ref, names).name

    tone, word = _standing(status, purpose)
    candidates = tuple(
        _candidate(status, purpose.purpose, one, names)
        for one in (explanation.candidates if explanation else ())
    )
    following = next((one for one in candidates if one.ready and not one.serves), None)
    return PurposeView(
        name=purpose.purpose,
        tone=tone,
        word=word,
        active=name_provider(status, purpose.active, names) if purpose.active else None,
        left=name_provider(status, brought.turn.left, names) if brought and brought.turn.left else None,
        since=purpose.since,
        why=RULE_WORDS.get(purpose.rule or "", purpose.rule or ""),
        evidence=reason_in_words(brought.turn.reason, name) if brought is not None else "",
        stranded_since=purpose.stranded_since,
        next=following.named if following else None,
        next_word=_next_word(purpose, candidates, explanation),
        notes=_notes(status, purpose, names),
        moves_when=explanation.next_moves if explanation else (),
        candidates=candidates,
        uptimes=purpose_spans(drawn, own) if own else (),
        bars=purpose_bars(drawn, own) if own else None,
        paused=purpose.paused,
        pinned=is_pinned(purpose, status.as_of),
        held=is_held(purpose, status.as_of),
        by_rule=purpose.rule in set(AUTOMATIC),
    )


def _standing(status: Status, purpose: PurposeStatus) -> tuple[Tone, str]:
    if purpose.stranded_since is not None:
        return Tone.BAD, "nobody is fit"
    if is_pinned_to_unfit(status, purpose):
        return Tone.BAD, "pinned to one that is unfit"
    health = purpose_health(status, purpose)
    words = {
        ApplicationStatus.HEALTHY: "served",
        ApplicationStatus.DEGRADED: "served, with a warning",
        ApplicationStatus.UNKNOWN: "not known yet",
        ApplicationStatus.DOWN: "down",
    }
    return TONES[health], words[health]


def _candidate(
    status: Status, purpose: str, one: Standpoint, names: Mapping[ProviderRef, str]
) -> CandidateView:
    provider = find_provider(status, one.ref)
    beliefs = provider.beliefs if provider is not None else ()
    last = next((belief.last_outcome for belief in beliefs if belief.purpose == purpose), None)
    tone = _STATE_TONES.get(one.health, Tone.BAD)
    return CandidateView(
        named=name_provider(status, one.ref, names),
        place=one.place,
        serves=one.serves,
        ready=one.eligible,
        tone=Tone.WARN if tone is Tone.OK and (one.warnings or not one.eligible) else tone,
        word=one.health,
        obstacle=reason_in_words(one.obstacle, lambda ref: name_provider(status, ref, names).name),
        outcome=OUTCOME_WORDS[last] if last not in (None, Outcome.OK) and "blocked" not in one.health else "",
        warnings=one.warnings,
    )


def _next_word(
    purpose: PurposeStatus, candidates: tuple[CandidateView, ...], explanation: Explanation | None
) -> str:
    if explanation is None:
        return "No daemon has decided for it yet."
    others = [one for one in candidates if not one.serves]
    if not others:
        return "Nobody: no other provider is named for it."
    if purpose.paused:
        return "Nobody while it is paused."
    return "" if any(one.ready for one in others) else "Nobody is ready to take over."


def _notes(status: Status, purpose: PurposeStatus, names: Mapping[ProviderRef, str]) -> tuple[str, ...]:
    now = status.as_of
    notes = []
    if purpose.paused:
        since = f" since {clock(purpose.paused_since, now)}" if purpose.paused_since else ""
        notes.append(f"Paused by an operator{since}: nothing moves.")
    if purpose.pinned is not None and is_pinned(purpose, now):
        until = f" until {clock(purpose.pinned_until, now)}" if purpose.pinned_until else ""
        notes.append(f"Pinned to {name_provider(status, purpose.pinned, names).name}{until}.")
    if is_held(purpose, now):
        until = f" until {clock(purpose.held_until, now)}" if purpose.held_until else ""
        notes.append(f"Promoted by an operator: no return by itself{until}.")
    if not purpose.is_seen:
        notes.append("No daemon has seen its row as it stands.")
    return tuple(notes)


def why_down(status: Status, purpose: PurposeStatus) -> str:
    """Why a purpose is down, as the end of a sentence."""
    if purpose.active is None:
        return "its row names nobody"
    provider = find_provider(status, purpose.active)
    if provider is None:
        return f"{purpose.active}, which its row names, was deleted"
    if not provider.enabled:
        return f"{provider.name}, which serves it, is disabled"
    if provider.maintenance is not None and provider.maintenance.holds(status.as_of):
        return f"{provider.name}, which serves it, is in maintenance"
    return f"{provider.name}, which serves it, does not answer as it should"
