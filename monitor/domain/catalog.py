"""What is known of each kind of provider before its row is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from monitor.domain.provider import ProviderType, Purpose

OPENROUTER = "openrouter"


class BusyCounters(StrEnum):
    """Where a server tells that it works although it does not answer in time."""

    VLLM_METRICS = "vllm_metrics"
    LLAMACPP_SLOTS = "llamacpp_slots"


class KeyScheme(StrEnum):
    """How a key travels with a light probe."""

    BEARER = "bearer"
    X_API_KEY = "x-api-key"
    X_GOOG_API_KEY = "x-goog-api-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One provider or server type.

    Attributes:
        name: as it stands in `ai_servers.server_type` or `llm_api_keys.provider`.
        type: the table it stands in.
        litellm_providers: litellm's `custom_llm_provider` by purpose; a purpose that is absent is not served.
        api_base: the address to call, without a trailing slash; None for servers, whose row names it, and for
            providers whose address only litellm knows.
        api_base_suffix: appended to a server's base_url for litellm (`/v1`), unless it ends so already.
        call_paths: by purpose, what litellm wants appended to the address where it does not do so itself.
        models: the default model by purpose, without litellm's prefix; may be empty for servers.
        key_check_path: the free GET that refuses a bad key, relative to the address; None without one.
        key_scheme: how the key travels with that GET.
        headers: sent along with light probes (Anthropic's API version).
        models_path: the GET that lists the models, relative to the address.
        health_path: a server's own health, relative to its root; None where there is none.
        loaded_path: the GET that lists the models in memory, relative to a server's root, or None.
        busy_counters: how to tell busy from dead, or None.
        needs_key: no call works without a key.
        slow_start: a probe may load the model (Ollama).
        streamed: litellm reads this provider's streams for certain; else a probe asks for a whole answer.
        stream_usage: a stream may be asked to tell its tokens.
        generic: known by name alone: litellm has the address, the operator has to name the model.
    """

    name: str
    type: ProviderType
    litellm_providers: Mapping[Purpose, str]
    api_base: str | None = None
    api_base_suffix: str = ""
    call_paths: Mapping[Purpose, str] = field(default_factory=dict)
    models: Mapping[Purpose, str]
    key_check_path: str | None = None
    key_scheme: KeyScheme = KeyScheme.BEARER
    headers: Mapping[str, str] = field(default_factory=dict)
    models_path: str | None = None
    health_path: str | None = None
    loaded_path: str | None = None
    busy_counters: BusyCounters | None = None
    needs_key: bool = False
    slow_start: bool = False
    streamed: bool = True
    stream_usage: bool = True
    generic: bool = False

    def root(self, base_url: str | None) -> str | None:
        """What light probes' paths are relative to: the address without slashes or suffix at its end."""
        base = (base_url or self.api_base or "").rstrip("/")
        return base.removesuffix(self.api_base_suffix).rstrip("/") or None

    def call_base(self, purpose: Purpose, base_url: str | None) -> str | None:
        """The `api_base` for a litellm call of that purpose; None where litellm knows it alone.

        Args:
            purpose: what is called for; some of litellm's routes want the whole path of it.
            base_url: the row's address, with or without the suffix and trailing slashes, or None.
        """
        root = self.root(base_url)
        if root is None:
            return None
        return f"{root}{self.api_base_suffix}{self.call_paths.get(purpose, '')}"

    def call_model(self, purpose: Purpose, model: str, base_url: str | None) -> str:
        """The `model` for a litellm call: with litellm's prefix, so that it alone tells the route.

        litellm takes a first word that is the route's own name off the model: without the prefix a server
        that serves `openai/gpt-oss-20b` through the route `openai` would be asked for `gpt-oss-20b`.

        Args:
            purpose: what is called for; it has to be one that the entry serves.
            model: as the provider names it; a hosted one's may carry litellm's prefix already.
            base_url: the row's address, or None.
        """
        route = self.litellm_providers[purpose]
        own = self.type is ProviderType.API_KEY and base_url in (None, self.api_base)
        if own and (route != OPENROUTER or model.count("/") > 1):
            model = model.removeprefix(f"{route}/")
        if route == OPENROUTER and "/" not in model:
            model = f"{OPENROUTER}/{model}"  # its own ids alone may be written without their maker: `auto`
        return f"{route}/{model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All entries, by name and table."""

    entries: Mapping[tuple[ProviderType, str], CatalogEntry]

    def find(self, type_: ProviderType, name: str) -> CatalogEntry | None:
        """The entry of that name, or None; spelling and case as in the row, folded to lower case."""
        return self.entries.get((type_, name.strip().lower()))
