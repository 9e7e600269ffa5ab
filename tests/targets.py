"""Targets for tests, as the application's rows would make them, and a prober for them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.target import ModelName, Network, ProbeSettings, SealedKey, Target, TargetId
from monitor.probing.catalog import load_catalog
from monitor.probing.destinations import Destinations
from monitor.probing.prober import Prober

CATALOG = load_catalog()
PLANTED_KEY = "sk-planted-4f9a2c7d81e6b35079ac"

LITELLM_WARNS = [  # of its own use of pydantic
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),
    pytest.mark.filterwarnings("ignore:Items? .* on TypedDict class:UserWarning"),
]


@asynccontextmanager
async def running_prober(
    *,
    unseal: Callable[[SealedKey], str] = lambda sealed: sealed.text,
    overall_limit: int = 128,
    upstream_limit: int = 16,
    destinations: Destinations | None = None,
) -> AsyncIterator[Prober]:
    """A prober that is warm, whose keys are not encrypted unless something opens them."""
    prober = Prober(
        unseal=unseal,
        now=lambda: datetime.now(UTC),
        overall_limit=overall_limit,
        upstream_limit=upstream_limit,
        destinations=destinations,
    )
    await prober.start()
    try:
        await prober.warm_up()
        yield prober
    finally:
        await prober.close()


def short_policy(seconds: float = 1.0, *, whole: float | None = None) -> Policy:
    """A policy whose hanging probes end in less than these seconds.

    The whole time is longer, unless it is given: a busy machine's late event loop counts against half of it.
    """
    whole = whole or seconds * 3
    return replace(
        Policy(),
        connect_timeout=timedelta(seconds=seconds * 0.5),
        first_token_timeout=timedelta(seconds=seconds * 0.6),
        first_token_timeout_loading=timedelta(seconds=seconds * 3),
        stall_timeout=timedelta(seconds=seconds * 0.5),
        timeout=timedelta(seconds=whole),
        timeout_loading=timedelta(seconds=whole * 2),
    )


def server_target(
    provider: str,
    base_url: str,
    *,
    model: str | None = "m1",
    purpose: Purpose | None = Purpose.CHAT,
    key: str | None = PLANTED_KEY,
    model_named: bool = True,
    number: int = 1,
    probe: ProbeSettings | None = None,
) -> Target:
    """A row of ai_servers, with its key in the clear."""
    return _target(
        ProviderType.AI_SERVER, provider, base_url, model, purpose, key, model_named, number, probe
    )


def provider_target(
    provider: str,
    base_url: str | None,
    *,
    model: str | None = "m1",
    purpose: Purpose | None = Purpose.CHAT,
    key: str | None = PLANTED_KEY,
    model_named: bool = True,
    number: int = 1,
    probe: ProbeSettings | None = None,
) -> Target:
    """A row of llm_api_keys that points at a local address."""
    return _target(ProviderType.API_KEY, provider, base_url, model, purpose, key, model_named, number, probe)


def _target(
    type_: ProviderType,
    provider: str,
    base_url: str | None,
    model: str | None,
    purpose: Purpose | None,
    key: str | None,
    model_named: bool,
    number: int,
    probe: ProbeSettings | None,
) -> Target:
    entry = CATALOG.find(type_, provider)
    assert entry is not None
    return Target(
        id=TargetId(provider=ProviderRef(type=type_, id=number), purpose=purpose),
        name=provider,
        provider=provider,
        entry=entry,
        base_url=base_url,
        model=ModelName(model) if model is not None else None,
        model_named=model_named,
        key=SealedKey(key, encrypted=False) if key is not None else None,
        network=Network.LOOPBACK,
        probe=probe or ProbeSettings(),
        fingerprint=f"{type_}/{provider}/{number}/{base_url}/{model}/{bool(key)}",
    )
