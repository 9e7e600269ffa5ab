"""What the reading routes answer: its form for the OpenAPI document, made of what was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.explanation import Explanation, Standpoint
from monitor.domain.history import Line
from monitor.domain.outcome import Outcome, ProbeResult
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import ProbeKind, TargetId
from monitor.domain.uptime import Uptime
from monitor.storage.status import Belief, ProviderStatus, PurposeStatus, Status
from monitor.storage.status_words import effective, find_provider, is_held, is_pinned, purpose_health
from monitor.storage.uptime import SPANS, Sums
from monitor.web.uptime_views import NO_SUMS, SpanView, UptimeView, view_span, view_uptimes

Ref = Annotated[
    str, Field(description="TYPE:ID, a row of `ai_servers` or `llm_api_keys`.", examples=["api_key:1"])
]


class NamedProvider(BaseModel):
    """A provider and its name; the name is null when the row was deleted."""

    provider: Ref
    name: str | None


# Of thousands, pydantic's models take three times as long to make as these.
@dataclass(slots=True, kw_only=True)
class TargetView:
    """What is believed of a provider in one purpose."""

    purpose: Annotated[
        Purpose | None, Field(description="Null for a provider that serves none and is checked lightly.")
    ]
    status: ApplicationStatus
    state: Annotated[str, Field(description="`up`, `down` or `unknown`.")]
    since: datetime | None
    eligible: bool
    blocks: list[str]
    warnings: list[str]
    last_outcome: Outcome | None
    last_probe_at: datetime | None
    light_outcome: Outcome | None
    light_probe_at: datetime | None
    latency_seconds: float | None
    ttft_seconds: float | None
    model: str | None
    detail: str
    uptime: Annotated[dict[str, UptimeView], Field(description="By span: `24h`, `7d`, `30d`, `90d`.")]


@dataclass(slots=True, kw_only=True)
class OutOfService:
    """A maintenance that lasts or is planned."""

    lasts: bool
    starts_at: datetime
    ends_at: datetime | None
    by: Annotated[str, Field(description="Who set it, and why.")]


@dataclass(slots=True, kw_only=True)
class ProviderView:
    """One row of the application, and how it fares."""

    provider: Ref
    name: str
    kind: Annotated[str, Field(examples=["vllm"])]
    enabled: bool
    serves: Annotated[list[str], Field(description="The purposes that it serves now.")]
    maintenance: OutOfService | None
    targets: list[TargetView]


@dataclass(slots=True, kw_only=True)
class ProvidersView:
    """All providers."""

    as_of: datetime
    providers: list[ProviderView]


class ProbeView(BaseModel):
    """One probe."""

    id: str
    purpose: Purpose | None
    kind: ProbeKind
    outcome: Outcome
    started_at: datetime
    ended_at: datetime
    latency_seconds: float | None
    ttft_seconds: float | None
    model: str | None
    http_status: int | None
    retry_after_seconds: float | None
    tokens_in: int | None
    tokens_out: int | None
    cost_usd: float | None
    detail: str


class ProbesView(BaseModel):
    """A page of probes, newest first."""

    probes: list[ProbeView]
    next_before: str | None = Field(description="The `before` of the next page; null on the last one.")


class DecisionView(BaseModel):
    """What the rules say now."""

    rule: str
    action: str
    reason: str


class LastView(BaseModel):
    """One of a candidate's last results."""

    at: datetime
    outcome: str


class CandidateView(NamedProvider):
    """How a candidate stands."""

    place: int | None = Field(
        description="In the order of preference, from 1; null for one that only serves."
    )
    serves: bool
    health: str = Field(examples=["up", "blocked: auth"])
    since: datetime | None
    eligible: bool
    obstacle: str | None = Field(description="Why nothing may move onto it; null when it may.")
    warnings: list[str]
    last: list[LastView]


class PurposeView(BaseModel):
    """Who serves a purpose, and why."""

    purpose: str
    as_of: datetime
    health: ApplicationStatus
    active: NamedProvider | None
    fallback: NamedProvider | None
    since: datetime | None
    rule: str | None = Field(
        description="By which rule it serves; `operator` or `adopted` when by none of ours."
    )
    reason: str | None = Field(
        description="Of the move that brought it; null when it was there from the first."
    )
    evidence: list[str] = Field(description="The results that this move rests on.")
    generation: int | None
    seen: bool = Field(description="A daemon has seen the row as it stands.")
    stranded_since: datetime | None
    paused: bool
    pinned: NamedProvider | None
    pinned_until: datetime | None
    held: bool = Field(description="An operator promoted who serves: no return by itself.")
    held_until: datetime | None
    decision: DecisionView | None
    candidates: list[CandidateView]
    next: list[str] = Field(description="What would have to happen for the next move, a sentence each.")
    uptime: dict[str, SpanView] = Field(
        description="Whether somebody served, by span: for how long the one that did was up."
    )


class EventView(BaseModel):
    """One thing that happened to a purpose."""

    at: datetime
    until: datetime | None
    what: str = Field(examples=["fail_over", "paused", "stranded", "order"])
    text: str
    serves: Ref | None = Field(description="Who serves from here on, when that changed.")
    results: list[str] = Field(description="The ids of the results that it rests on.")


class EventsView(BaseModel):
    """A page of events, newest first."""

    purpose: Purpose
    since: datetime = Field(description="How far back this page reaches.")
    events: list[EventView]
    next_before: datetime | None = Field(
        description="The `before` of the next page; null when there is none."
    )


def view_providers(status: Status, sums: Mapping[TargetId, Sums]) -> bytes:
    """All providers, as JSON of `ProvidersView`."""
    view = ProvidersView(
        as_of=status.as_of, providers=[_provider(status, one, sums) for one in status.providers]
    )
    return _PROVIDERS.dump_json(view)


_PROVIDERS = TypeAdapter(ProvidersView)


def view_probe(result: ProbeResult) -> ProbeView:
    """One probe."""
    return ProbeView(
        id=result.id,
        purpose=result.target.purpose,
        kind=result.kind,
        outcome=result.outcome,
        started_at=result.started_at,
        ended_at=result.ended_at,
        latency_seconds=result.latency_seconds,
        ttft_seconds=result.ttft_seconds,
        model=result.model,
        http_status=result.http_status,
        retry_after_seconds=result.retry_after.total_seconds() if result.retry_after else None,
        tokens_in=result.tokens_in,
        tokens_out=result.tokens_out,
        cost_usd=result.cost_usd,
        detail=result.detail,
    )


def view_purpose(
    status: Status,
    purpose: PurposeStatus,
    explanation: Explanation | None,
    move: tuple[str, Sequence[str]] | None,
    uptime: Mapping[str, Uptime],
) -> PurposeView:
    """A purpose.

    Args:
        status: read at the same moment.
        purpose: its part of it.
        explanation: None when no daemon has decided for it yet.
        move: reason and evidence of the move that brought the one that serves, or None.
        uptime: by span; one that is missing is not known.
    """
    decision = explanation.decision if explanation is not None else None
    pinned, held = is_pinned(purpose, status.as_of), is_held(purpose, status.as_of)
    return PurposeView(
        purpose=purpose.purpose,
        as_of=status.as_of,
        health=purpose_health(status, purpose),
        active=_named(status, purpose.active),
        fallback=_named(status, purpose.fallback),
        since=purpose.since,
        rule=purpose.rule,
        reason=move[0] if move else None,
        evidence=list(move[1]) if move else [],
        generation=purpose.generation,
        seen=purpose.is_seen,
        stranded_since=purpose.stranded_since,
        paused=purpose.paused,
        pinned=_named(status, purpose.pinned) if pinned else None,
        pinned_until=purpose.pinned_until if pinned else None,
        held=held,
        held_until=purpose.held_until if held else None,
        decision=DecisionView(rule=decision.rule, action=decision.action, reason=decision.reason)
        if decision is not None
        else None,
        candidates=[_candidate(status, one) for one in explanation.candidates] if explanation else [],
        next=list(explanation.next_moves) if explanation else [],
        uptime={name: view_span(uptime.get(name, Uptime())) for name in SPANS},
    )


def view_event(line: Line) -> EventView:
    """One thing that happened."""
    return EventView(
        at=line.at,
        until=line.until,
        what=line.what,
        text=line.text,
        serves=str(line.served) if line.served else None,
        results=list(line.result_ids),
    )


def _provider(status: Status, provider: ProviderStatus, sums: Mapping[TargetId, Sums]) -> ProviderView:
    return ProviderView(
        provider=str(provider.ref),
        name=provider.name,
        kind=provider.kind,
        enabled=provider.enabled,
        serves=[one.purpose for one in status.purposes if one.active == provider.ref],
        maintenance=OutOfService(
            lasts=provider.maintenance.holds(status.as_of),
            starts_at=provider.maintenance.since,
            ends_at=provider.maintenance.until,
            by=provider.maintenance_by,
        )
        if provider.maintenance is not None
        else None,
        targets=[
            _target(
                belief,
                status.as_of,
                sums.get(TargetId(provider=provider.ref, purpose=belief.purpose), NO_SUMS),
            )
            for belief in provider.beliefs
        ],
    )


def _target(belief: Belief, now: datetime, sums: Sums) -> TargetView:
    return TargetView(
        purpose=belief.purpose,
        status=effective(belief, now),
        state=belief.state,
        since=belief.since,
        eligible=belief.eligible,
        blocks=[str(one) for one in belief.blocks],
        warnings=[str(one) for one in belief.warnings],
        last_outcome=belief.last_outcome,
        last_probe_at=belief.last_started_at,
        light_outcome=belief.light_outcome,
        light_probe_at=belief.light_started_at,
        latency_seconds=belief.result.latency_seconds,
        ttft_seconds=belief.result.ttft_seconds,
        model=belief.result.model,
        detail=belief.result.detail,
        uptime=view_uptimes(sums),
    )


def _candidate(status: Status, one: Standpoint) -> CandidateView:
    return CandidateView(
        **_named_fields(status, one.ref),
        place=one.place,
        serves=one.serves,
        health=one.health,
        since=one.since,
        eligible=one.eligible,
        obstacle=one.obstacle or None,
        warnings=list(one.warnings),
        last=[LastView(at=at, outcome=word) for at, word in one.last],
    )


def _named(status: Status, ref: ProviderRef | None) -> NamedProvider | None:
    return None if ref is None else NamedProvider(**_named_fields(status, ref))


def _named_fields(status: Status, ref: ProviderRef) -> dict[str, Any]:
    provider = find_provider(status, ref)
    return {"provider": str(ref), "name": provider.name if provider is not None else None}
