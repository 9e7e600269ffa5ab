"""What is known of each kind of provider before its row is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from monitor.domain.target import ProviderType, Purpose


class BusyCounters(StrEnum):
    """Where a server tells that it works although it does not answer in time."""

    VLLM_METRICS = "vllm_metrics"
    LLAMACPP_SLOTS = "llamacpp_slots"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One provider or server type.

    Attributes:
        name: as it stands in `ai_servers.server_type` or `llm_api_keys.provider`.
        type: the table it stands in.
        litellm_providers: litellm's `custom_llm_provider` by purpose; a purpose that is absent is not served.
        api_base: the address to call, without a trailing slash; None for servers, whose row names it.
        api_base_suffix: appended to a server's base_url for litellm (`/v1`), unless it ends so already.
        models: the default model by purpose, without litellm's prefix; may be empty for servers.
        key_check_path: the free GET that refuses a bad key, relative to the address; None without one.
        models_path: the GET that lists the models, relative to the address.
        health_path: a server's own health, relative to its root; None where there is none.
        busy_counters: how to tell busy from dead, or None.
        needs_key: no call works without a key.
        slow_start: a probe may load the model (Ollama).
    """

    name: str
    type: ProviderType
    litellm_providers: Mapping[Purpose, str]
    api_base: str | None = None
    api_base_suffix: str = ""
    models: Mapping[Purpose, str]
    key_check_path: str | None = None
    models_path: str | None = None
    health_path: str | None = None
    busy_counters: BusyCounters | None = None
    needs_key: bool = False
    slow_start: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All entries, by name and table."""

    entries: Mapping[tuple[ProviderType, str], CatalogEntry]

    def find(self, type_: ProviderType, name: str) -> CatalogEntry | None:
        """The entry of that name, or None; spelling and case as in the row, folded to lower case."""
        return self.entries.get((type_, name.strip().lower()))
