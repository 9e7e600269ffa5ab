"""What travels over HTTP: the bodies of requests and answers, with examples.

Only the JSON types are judged here. What a value has to be, the manager says, in words that name the mend.
Fields that nobody knows are left alone: an application's forms send whole rows back.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Metadata = Annotated[
    dict[str, Any] | None,
    Field(description="A JSON object; the configuration page lists what is heeded of it. Null empties it."),
]
Flag = Annotated[bool, Field(description="Left out: stays as it is.")]
Provider = Literal["api_key", "ai_server"]
Key = Annotated[str, Field(description="The key in plain text. It is stored sealed and never shown again.")]
Who = Annotated[
    str | None,
    Field(description="Who does it, where the application does not say so in `request.state.user_id`."),
]

SERVER = {
    "name": "gpu-1",
    "server_type": "vllm",
    "base_url": "http://gpu-1:8000",
    "api_key": "sk-local-0123456789abcdef",
    "model_path": "Qwen/Qwen3-8B",
    "use_for_chat": True,
    "metadata": {"model_aliases": {"gpt-4o-mini": "Qwen/Qwen3-8B"}},
    "created_by": "alice",
}
_ROW: dict[str, Any] = {
    "metadata": {},
    "created_by": "alice",
    "created_at": "2026-03-04T12:00:00Z",
    "updated_at": "2026-03-04T12:00:00Z",
    "problem": None,
}
SHOWN_SERVER = {
    "id": 1,
    "name": "gpu-1",
    "server_type": "vllm",
    "base_url": "http://gpu-1:8000",
    "masked_key": "****cdef",
    "model_path": "Qwen/Qwen3-8B",
    "enabled": True,
    "use_for_chat": True,
    "use_for_embeddings": False,
    "use_for_reranking": False,
    "last_health_check": "2026-03-04T12:00:00Z",
    "health_status": "healthy",
    **_ROW,
}
API_KEY = {
    "provider": "openrouter",
    "key_name": "main",
    "api_key": "sk-or-v1-0123456789a1b2",
    "created_by": "alice",
}
SHOWN_API_KEY = {
    "id": 1,
    "provider": "openrouter",
    "key_name": "main",
    "masked_key": "****a1b2",
    "enabled": True,
    "use_for_ops_center": False,
    "last_used": None,
    "requests_count": 0,
    "tokens_used": 0,
    "cost_usd": 0.0,
    **_ROW,
}
ACTIVE = {
    "purpose": "chat",
    "provider_type": "ai_server",
    "provider_id": 1,
    "provider": SHOWN_SERVER,
    "fallback_provider_type": "api_key",
    "fallback_provider_id": 1,
    "updated_by": "alice",
    "updated_at": "2026-03-04T12:00:00Z",
    "generation": 3,
    "as_of": "2026-03-04T12:00:05Z",
    "stale": False,
    "pinned": False,
    "stranded": False,
}


def _absent() -> Any:
    """The value of a field that the request leaves out; it is never looked at, nor shown as a default."""
    return None


def _example(*examples: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(examples)}, hide_input_in_errors=True)


class NewServer(BaseModel):
    """A server to add."""

    model_config = _example(SERVER)

    name: str
    server_type: str = Field(description="vllm, ollama, llamacpp or openai-compatible")
    base_url: str = Field(description="http or https, without credentials, query and fragment")
    api_key: Key | None = None
    model_path: str | None = None
    enabled: bool = True
    use_for_chat: bool = False
    use_for_embeddings: bool = False
    use_for_reranking: bool = False
    metadata: Metadata = None
    created_by: Who = None


class ServerPatch(BaseModel):
    """What to change of a server; what is left out stays as it is."""

    model_config = _example({"base_url": "http://gpu-2:8000", "enabled": False})

    name: str = Field(default_factory=_absent)
    server_type: str = Field(default_factory=_absent)
    base_url: str = Field(default_factory=_absent)
    api_key: str | None = Field(
        default_factory=_absent,
        description="A new key; null or an empty text takes the key away; the mask `****a1b2` keeps it.",
    )
    model_path: str | None = Field(default_factory=_absent)
    enabled: Flag = Field(default_factory=_absent)
    use_for_chat: Flag = Field(default_factory=_absent)
    use_for_embeddings: Flag = Field(default_factory=_absent)
    use_for_reranking: Flag = Field(default_factory=_absent)
    metadata: Metadata = Field(default_factory=_absent)
    updated_by: Who = Field(default_factory=_absent)


class Server(BaseModel):
    """A server's row, its key masked."""

    model_config = _example(SHOWN_SERVER)

    id: int
    name: str
    server_type: str
    base_url: str
    masked_key: str | None = Field(description="The last four characters of the key; null without one")
    problem: str | None = Field(description="Why the key can't be opened, and the mend; null when it can")
    model_path: str | None
    enabled: bool
    use_for_chat: bool
    use_for_embeddings: bool
    use_for_reranking: bool
    last_health_check: datetime | None
    health_status: str | None
    metadata: Any
    created_by: str | None
    created_at: datetime | None
    updated_at: datetime | None


class NewApiKey(BaseModel):
    """A key to add."""

    model_config = _example(API_KEY)

    provider: str = Field(description="openrouter, openai, anthropic, ... or another that litellm knows")
    key_name: str = Field(description="Unique within the provider")
    api_key: Key
    enabled: bool = True
    use_for_ops_center: bool = False
    metadata: Metadata = None
    created_by: Who = None


class ApiKeyPatch(BaseModel):
    """What to change of a key; what is left out stays as it is."""

    model_config = _example({"enabled": False}, {"api_key": "sk-or-v1-0123456789c3d4"})

    provider: str = Field(default_factory=_absent)
    key_name: str = Field(default_factory=_absent)
    api_key: str = Field(
        default_factory=_absent, description="A new key; the mask `****a1b2` as shown keeps the old one."
    )
    enabled: Flag = Field(default_factory=_absent)
    use_for_ops_center: Flag = Field(default_factory=_absent)
    metadata: Metadata = Field(default_factory=_absent)
    updated_by: Who = Field(default_factory=_absent)


class ApiKey(BaseModel):
    """A key's row, the key masked."""

    model_config = _example(SHOWN_API_KEY)

    id: int
    provider: str
    key_name: str
    masked_key: str | None = Field(description="The last four characters of the key, none of a short one")
    problem: str | None = Field(description="Why the key can't be opened, and the mend; null when it can")
    enabled: bool
    use_for_ops_center: bool
    last_used: datetime | None
    requests_count: int
    tokens_used: int
    cost_usd: float
    metadata: Any
    created_by: str | None
    created_at: datetime | None
    updated_at: datetime | None


class NewActive(BaseModel):
    """Who is to serve a purpose."""

    model_config = _example(
        {"purpose": "chat", "provider_type": "api_key", "provider_id": 1},
        {
            "purpose": "chat",
            "provider_type": "ai_server",
            "provider_id": 1,
            "fallback_provider_type": "api_key",
            "fallback_provider_id": 1,
        },
    )

    purpose: str = Field(description="chat, embeddings or reranking")
    provider_type: Provider
    provider_id: int
    fallback_provider_type: Provider | None = Field(
        default_factory=_absent, description="Left out: the fallback is kept; null: there is none."
    )
    fallback_provider_id: int | None = Field(
        default_factory=_absent, description="As fallback_provider_type."
    )
    reason: str | None = Field(default_factory=_absent, description="Why; it stands in the audit.")
    force: bool = Field(
        default=False, description="Let embeddings change their vector space: everything is embedded anew."
    )
    updated_by: Who = Field(default_factory=_absent)


class Active(BaseModel):
    """Who serves a purpose, and how much is known of it."""

    model_config = _example(ACTIVE)

    purpose: Literal["chat", "embeddings", "reranking"]
    provider_type: Provider | None
    provider_id: int | None
    provider: Server | ApiKey | None = Field(description="Its row; null when it was deleted")
    fallback_provider_type: Provider | None
    fallback_provider_id: int | None
    updated_by: str | None = Field(description="`monitor` after a move by itself")
    updated_at: datetime | None
    generation: int = Field(description="Counts the moves; 0 before a daemon has seen the purpose")
    as_of: datetime = Field(description="When this was read")
    stale: bool = Field(description="No daemon acts, or it knows nothing fresh of the one that serves")
    pinned: bool = Field(description="An operator's pin holds")
    stranded: bool = Field(description="Nobody is fit to serve")


class Message(BaseModel):
    """A word that it was done."""

    message: str = Field(examples=["Active provider set for chat"])


class ServerTested(BaseModel):
    """What a probe of a server showed just now."""

    model_config = _example(
        {
            "server_id": 1,
            "status": "healthy",
            "message": "ok from Qwen/Qwen3-8B in 0.21 s",
            "timestamp": "2026-03-04T12:00:00Z",
        }
    )

    server_id: int
    status: Literal["healthy", "degraded", "down", "unknown"]
    message: str
    timestamp: datetime


class ApiKeyTested(BaseModel):
    """What a probe of a hosted provider showed just now."""

    model_config = _example(
        {
            "key_id": 1,
            "success": False,
            "message": "the key is not accepted",
            "timestamp": "2026-03-04T12:00:00Z",
        }
    )

    key_id: int
    success: bool
    message: str
    timestamp: datetime


class Health(BaseModel):
    """The health of what serves each purpose, without names."""

    status: Literal["healthy", "degraded", "down", "unknown"] = Field(description="The worst of the purposes")
    service: Literal["llm-monitor"]
    purposes: dict[str, Literal["healthy", "degraded", "down", "unknown"]]


class Problem(BaseModel):
    """Why a request was not met."""

    detail: str


class FieldProblem(BaseModel):
    """What is wrong with one value; it never repeats the value."""

    loc: list[str | int] = Field(examples=[["body", "base_url"]])
    msg: str
    type: str


class FieldProblems(BaseModel):
    """What is wrong with the values of a request."""

    detail: list[FieldProblem]
