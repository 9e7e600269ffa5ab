"""What is probed: a provider, the purpose it serves and the model it serves it with."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import NewType

from monitor.domain.catalog import CatalogEntry
from monitor.domain.provider import ProviderRef as ProviderRef
from monitor.domain.provider import ProviderType as ProviderType
from monitor.domain.provider import Purpose as Purpose

ModelName = NewType("ModelName", str)


class ProbeKind(StrEnum):
    """A light probe warns; only a deep one judges."""

    LIGHT = "light"
    DEEP = "deep"


class Network(StrEnum):
    """How far away an upstream is: what we and the application share, and what we may lose alone."""

    LOOPBACK = "loopback"
    LAN = "lan"
    OFF_HOST = "off_host"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetId:
    """One provider in one purpose, written `ai_server:2/chat`; without a purpose it is light-only."""

    provider: ProviderRef
    purpose: Purpose | None

    def __str__(self) -> str:
        return f"{self.provider}/{self.purpose or 'none'}"


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A provider's key as it stands in its row; only the keyring opens it.

    Attributes:
        text: a Fernet token, or the key itself in rows written before encryption.
        encrypted: whether `text` is a token.
        identity: says which key it is, and stays when that is sealed anew; never the key or the token.
    """

    text: str = field(repr=False)
    encrypted: bool = True
    identity: str = field(default="", repr=False, compare=False)

    def __str__(self) -> str:
        return "SealedKey(****)"


class KeyUndecryptable(Exception):
    """A stored key does not open with the keys we have; the message says which row and holds no key."""


class KeyringUnfit(KeyUndecryptable):
    """Nor does any other stored key open: the fault is taken to be our encryption key, not the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """How a target is probed; a row's `metadata.probe` overrides the policy.

    Attributes:
        interval: the deep interval instead of the policy's, or None.
        light_interval: the light interval instead of the policy's, or None.
        timeout: the whole time of a probe instead of the policy's, or None.
        model: probe this model instead of the one that is served, or None.
        max_tokens: the completion asked for, in tokens.
        slow_start: the model is loaded on demand (Ollama): standbys are probed once an hour.
        daily_cost_usd: the limit for this provider instead of the policy's, or None.
    """

    interval: timedelta | None = None
    light_interval: timedelta | None = None
    timeout: timedelta | None = None
    model: str | None = None
    max_tokens: int = 8
    slow_start: bool = False
    daily_cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to probe, with all that a probe of it needs.

    Attributes:
        id: provider and purpose.
        name: the operator's name of the provider.
        provider: the catalog's entry: `vllm`, `ollama`, `openrouter`, ...
        entry: the catalog's knowledge of it, with the row's own overrides.
        base_url: where it answers, without a trailing slash; None for the provider's own address.
        model: the model that is served; None when only the server's own list can tell.
        model_named: the operator chose the model (row or metadata), not the catalog.
        key: the sealed key, or None for an open server.
        network: how far away it is.
        probe: its own settings.
        embedding_space: `metadata.embedding_space`, or None.
        fingerprint: changes when key, address or model change; beliefs about another fingerprint are void.
    """

    id: TargetId
    name: str
    provider: str
    entry: CatalogEntry
    base_url: str | None
    model: ModelName | None
    model_named: bool
    key: SealedKey | None
    network: Network
    probe: ProbeSettings
    embedding_space: str | None = None
    fingerprint: str
