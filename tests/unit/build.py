"""Small builders: results, beliefs, situations and rows as a test wants to say them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from monitor.domain.catalog import BusyCounters, Catalog, CatalogEntry
from monitor.domain.health import Health, expect
from monitor.domain.observe import observe
from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.policy import Policy
from monitor.domain.rows import ActiveRow, ConfigurationRows, KeyRow, PreferenceRow, ServerRow
from monitor.domain.situation import Candidate, Situation, Switch
from monitor.domain.target import (
    ModelName,
    Network,
    ProbeKind,
    ProbeSettings,
    ProviderRef,
    ProviderType,
    Purpose,
    SealedKey,
    Target,
    TargetId,
)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = Policy()
MARK = "mark"
OK, FAIL, AUTH = Outcome.OK, Outcome.SERVER_ERROR, Outcome.AUTH_FAILED


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def at(number: float) -> datetime:
    """That many seconds after the start of the test's day."""
    return START + timedelta(seconds=number)


def server(number: int) -> ProviderRef:
    return ProviderRef(type=ProviderType.AI_SERVER, id=number)


def api_key(number: int) -> ProviderRef:
    return ProviderRef(type=ProviderType.API_KEY, id=number)


A, B, C = server(1), server(2), server(3)


def result(
    started: float,
    outcome: Outcome = OK,
    *,
    took: float = 1,
    of: ProviderRef = A,
    kind: ProbeKind = ProbeKind.DEEP,
    fingerprint: str = MARK,
    retry_after: float | None = None,
    latency_seconds: float | None = None,
) -> ProbeResult:
    return ProbeResult(
        id=ResultId(f"{of}@{started:g}"),
        target=TargetId(provider=of, purpose=Purpose.CHAT),
        fingerprint=fingerprint,
        kind=kind,
        outcome=outcome,
        started_at=at(started),
        ended_at=at(started + took),
        retry_after=None if retry_after is None else seconds(retry_after),
        latency_seconds=latency_seconds,
    )


def observed(
    *seen: tuple[float, Outcome] | ProbeResult,
    of: ProviderRef = A,
    policy: Policy = POLICY,
    onto: Health | None = None,
    interval: float | None = None,
) -> Health:
    """The belief after these results, each `(start, outcome)`; it goes stale if `interval` is told."""
    health = onto or Health(fingerprint=MARK)
    for one in seen:
        health = observe(health, one if isinstance(one, ProbeResult) else result(*one, of=of), policy)
    return health if interval is None else expect(health, seconds(interval), policy)


def every(step: float, outcomes: Iterable[Outcome], begin: float = 0) -> tuple[tuple[float, Outcome], ...]:
    """One outcome each `step` seconds."""
    return tuple((begin + index * step, outcome) for index, outcome in enumerate(outcomes))


def situation(
    healths: Mapping[ProviderRef, Health | Candidate | None],
    *,
    active: ProviderRef = A,
    preference: tuple[ProviderRef, ...] | None = None,
    purpose: Purpose = Purpose.CHAT,
    deciding_since: float = -86_400,
    chosen_at: float | None = None,
    switches: Iterable[tuple[float, ProviderRef, ProviderRef]] = (),
    stranded_since: float | None = None,
    paused: bool = False,
    pinned: bool = False,
    pinned_until: float | None = None,
    held: bool = False,
    held_until: float | None = None,
    ordered_at: float | None = None,
) -> Situation:
    return Situation(
        purpose=purpose,
        active=active,
        preference=tuple(healths) if preference is None else preference,
        candidates={
            ref: one if isinstance(one, Candidate) else Candidate(ref=ref, health=one)
            for ref, one in healths.items()
        },
        deciding_since=at(deciding_since),
        chosen_at=None if chosen_at is None else at(chosen_at),
        switches=tuple(Switch(at=at(when), left=left, onto=onto) for when, left, onto in switches),
        stranded_since=None if stranded_since is None else at(stranded_since),
        paused=paused,
        pinned=pinned,
        pinned_until=None if pinned_until is None else at(pinned_until),
        held=held,
        held_until=None if held_until is None else at(held_until),
        ordered_at=None if ordered_at is None else at(ordered_at),
    )


def entry(
    name: str = "vllm",
    type_: ProviderType = ProviderType.AI_SERVER,
    *,
    serves: Iterable[Purpose] = tuple(Purpose),
    models: Mapping[Purpose, str] | None = None,
    api_base: str | None = None,
    slow_start: bool = False,
    generic: bool = False,
) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        type=type_,
        litellm_providers=dict.fromkeys(serves, f"litellm_{name}"),
        models=models or {},
        api_base=api_base,
        key_check_path="/key",
        models_path="/models",
        busy_counters=BusyCounters.VLLM_METRICS if name == "vllm" else None,
        slow_start=slow_start,
        generic=generic,
    )


CATALOG = Catalog(
    entries={
        (one.type, one.name): one
        for one in (
            entry("vllm"),
            entry("ollama", serves=(Purpose.CHAT, Purpose.EMBEDDINGS), slow_start=True),
            entry(
                "openai",
                ProviderType.API_KEY,
                serves=(Purpose.CHAT, Purpose.EMBEDDINGS),
                models={Purpose.CHAT: "catalog-chat"},
                api_base="https://api.openai.test/v1",
            ),
            entry("obscure", ProviderType.API_KEY, generic=True),
        )
    }
)


def target(
    ref: ProviderRef = A,
    *,
    purpose: Purpose | None = Purpose.CHAT,
    network: Network = Network.OFF_HOST,
    probe: ProbeSettings | None = None,
) -> Target:
    return Target(
        id=TargetId(provider=ref, purpose=purpose),
        name="one",
        provider="vllm",
        entry=entry(),
        base_url="http://one:8000",
        model=ModelName("m"),
        model_named=True,
        key=None,
        network=network,
        probe=probe or ProbeSettings(),
        fingerprint=MARK,
    )


SERVER_ROW = ServerRow(
    id=1,
    name="one",
    server_type="vllm",
    base_url="http://10.0.0.5:8000/",
    api_key=None,
    model_path="path-model",
    enabled=True,
    purposes=frozenset({Purpose.CHAT}),
    health_status=None,
    metadata={},
)
KEY_ROW = KeyRow(
    id=1, provider="openai", key_name="main", key=SealedKey("gAAAAtoken"), enabled=True, metadata={}
)


def rows(
    *some: ServerRow | KeyRow,
    actives: tuple[ActiveRow, ...] = (),
    preferences: tuple[PreferenceRow, ...] = (),
) -> ConfigurationRows:
    return ConfigurationRows(
        servers=tuple(one for one in some if isinstance(one, ServerRow)),
        keys=tuple(one for one in some if isinstance(one, KeyRow)),
        actives=actives,
        preferences=preferences,
    )


def active_row(purpose: str, active: ProviderRef | None, fallback: ProviderRef | None = None) -> ActiveRow:
    return ActiveRow(
        purpose=purpose,
        provider_type=active.type if active else None,
        provider_id=active.id if active else None,
        fallback_provider_type=fallback.type if fallback else None,
        fallback_provider_id=fallback.id if fallback else None,
    )


def with_metadata(row: ServerRow, metadata: object) -> ServerRow:
    return replace(row, metadata=metadata)
