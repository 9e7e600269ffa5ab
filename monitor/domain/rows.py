"""The application's rows as they were read, before anything is believed of them."""

from dataclasses import dataclass

from monitor.domain.target import ProviderRef, ProviderType, Purpose, SealedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRow:
    """A row of `ai_servers`.

    Attributes:
        id: its primary key.
        name: unique.
        server_type: the catalog's name for it.
        base_url: as typed.
        api_key: sealed or plaintext; None when empty.
        model_path: the model that it serves, or None.
        enabled: whether it is to be used at all.
        purposes: those whose `use_for_*` is set.
        health_status: what stands there now.
        metadata: decoded JSON, whatever its type.
    """

    id: int
    name: str
    server_type: str | None
    base_url: str | None
    api_key: SealedKey | None
    model_path: str | None
    enabled: bool
    purposes: frozenset[Purpose]
    health_status: str | None
    metadata: object

    @property
    def ref(self) -> ProviderRef:
        """The reference other rows name it by."""
        return ProviderRef(type=ProviderType.AI_SERVER, id=self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A row of `llm_api_keys`.

    Attributes:
        id: its primary key.
        provider: the catalog's name for it.
        key_name: unique within the provider.
        key: the Fernet token.
        enabled: whether it is to be used at all.
        metadata: decoded JSON, whatever its type.
    """

    id: int
    provider: str
    key_name: str
    key: SealedKey
    enabled: bool
    metadata: object

    @property
    def ref(self) -> ProviderRef:
        """The reference other rows name it by."""
        return ProviderRef(type=ProviderType.API_KEY, id=self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRow:
    """A row of `active_providers`, unread."""

    purpose: str
    provider_type: str | None
    provider_id: int | None
    fallback_provider_type: str | None
    fallback_provider_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceRow:
    """A row of `monitor.preferences`."""

    purpose: str
    position: int
    provider_type: str
    provider_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationRows:
    """Everything that decides what is probed, read in one transaction."""

    servers: tuple[ServerRow, ...]
    keys: tuple[KeyRow, ...]
    actives: tuple[ActiveRow, ...]
    preferences: tuple[PreferenceRow, ...]
