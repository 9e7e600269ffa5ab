"""One provider, ready to be called by an application."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

from monitor.domain.catalog import CatalogEntry
from monitor.domain.provider import ProviderRef, ProviderType, Purpose

NO_KEY = "none"
"""What a server without a key gets: for None litellm would send it OPENAI_API_KEY of the environment."""


class Secret:
    """A key that shows itself only when it is asked for: in no repr, no JSON and no pickle."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The key."""
        return self._text

    def __repr__(self) -> str:
        return "****"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, _: object) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled: ask for the provider again where it is needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfiguration:
    """One provider and all that a call of it needs.

    It is shared by all that ask for it: change a copy, never its `metadata`.

    Attributes:
        provider_type: `api_key` or `ai_server`.
        provider_id: the row's.
        provider_name: the server's name, or the hosted provider's (`openrouter`).
        server_type: the server's kind; None for a hosted provider.
        base_url: the address it answers at; None where only litellm knows it.
        model_path: the server's own, or None.
        secret: the key, or None for an open server.
        enabled: whether the row may be used.
        purpose: what it was asked for.
        fallback_provider_type: the second one in the purpose's row, or None.
        fallback_provider_id: the same.
        health_status: `healthy`, `degraded`, `down` or `unknown`.
        last_health_check: UTC; None before the first.
        metadata: the row's.
        model: the one that is served, as the provider names it; None when nobody named one and the server's
            own list does not tell.
        model_aliases: callers' names of models to this provider's own.
        entry: what is known of its kind.
    """

    provider_type: str
    provider_id: int
    provider_name: str
    server_type: str | None
    base_url: str | None
    model_path: str | None
    secret: Secret | None
    enabled: bool
    purpose: str
    fallback_provider_type: str | None
    fallback_provider_id: int | None
    health_status: str
    last_health_check: datetime | None
    metadata: dict[str, Any] = field(repr=False)
    model: str | None
    model_aliases: Mapping[str, str] = field(repr=False)
    entry: CatalogEntry = field(repr=False)

    @property
    def api_key(self) -> str | None:
        """The key in plain text; None for an open server."""
        return self.secret.reveal() if self.secret is not None else None

    @property
    def ref(self) -> ProviderRef:
        """The row it comes from."""
        return ProviderRef(type=ProviderType(self.provider_type), id=self.provider_id)

    def to_litellm_config(self, model: str | None = None) -> dict[str, Any]:
        """The arguments of a litellm call, as a new dict: `litellm.completion(messages=..., **config)`.

        Args:
            model: the caller's instead of the one that is served; `metadata.model_aliases` maps it to the
                provider's own name, and one that is not listed there is passed on.

        Returns:
            model (with litellm's prefix; None when none is known), api_base (None where litellm knows it),
            api_key (never None), custom_llm_provider and metadata (names the provider, nothing of the row's).
        """
        purpose = Purpose(self.purpose)
        wanted = self.model if model is None else self.model_aliases.get(model, model)
        return {
            "model": None if wanted is None else self.entry.call_model(purpose, wanted, self.base_url),
            "api_base": self.entry.call_base(purpose, self.base_url),
            "api_key": self.api_key or NO_KEY,
            "custom_llm_provider": self.entry.litellm_providers[purpose],
            "metadata": {
                "provider_type": str(self.provider_type),
                "provider_id": self.provider_id,
                "provider_name": self.provider_name,
                "purpose": str(self.purpose),
            },
        }

    def to_wilmer_config(self) -> dict[str, Any]:
        """The provider as WilmerAI is told of it, as a new dict; it holds the key and the row's metadata."""
        return {
            "provider_type": str(self.provider_type),
            "provider_id": self.provider_id,
            "provider_name": self.provider_name,
            "base_url": self.base_url,
            "api_key": self.api_key,
            "is_local": self.provider_type == ProviderType.AI_SERVER,
            "supports_streaming": self.purpose == Purpose.CHAT and self.entry.streamed,
            "metadata": deepcopy(self.metadata),
        }
