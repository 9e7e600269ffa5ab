"""A provider as the application knows it, and what it is used for."""

from dataclasses import dataclass
from enum import StrEnum


class ProviderType(StrEnum):
    """Which of the application's tables a provider stands in."""

    API_KEY = "api_key"
    AI_SERVER = "ai_server"


class Purpose(StrEnum):
    """What an application uses a provider for."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    RERANKING = "reranking"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ProviderRef:
    """One row of the application: its table and its id. Written `api_key:1`."""

    type: ProviderType
    id: int

    def __str__(self) -> str:
        return f"{self.type}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> "ProviderRef":
        """Read `api_key:1` or `ai_server:2`.

        Raises:
            ValueError: the text has another form.
        """
        kind, _, number = text.partition(":")
        if not number.isdecimal() or kind not in set(ProviderType):
            raise ValueError(f"{text!r} names no provider: write api_key:ID or ai_server:ID, as in api_key:1")
        return cls(type=ProviderType(kind), id=int(number))
