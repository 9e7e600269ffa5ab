"""The application's tables as an application writes them, and what the daemon leaves in its own."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ApplicationRows:
    """Rows over one connection; a provider is named as everywhere: `ai_server:1`, `api_key:2`."""

    connection: Any

    async def add_server(self, name: str, server_type: str, base_url: str, **columns: object) -> str:
        """A row of `ai_servers`."""
        row_id = await self._insert(
            "ai_servers", {"name": name, "server_type": server_type, "base_url": base_url, **columns}
        )
        return f"ai_server:{row_id}"

    async def add_key(self, provider: str, encrypted_key: str, **columns: object) -> str:
        """A row of `llm_api_keys`."""
        values = {"provider": provider, "key_name": "main", "encrypted_key": encrypted_key, **columns}
        return f"api_key:{await self._insert('llm_api_keys', values)}"

    async def change(self, provider: str, **columns: object) -> None:
        """Some columns of a provider's row."""
        table, row_id = _place(provider)
        sets = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, 2))
        await self.connection.execute(f"UPDATE {table} SET {sets} WHERE id = $1", row_id, *columns.values())

    async def delete(self, provider: str) -> None:
        """A provider's row."""
        table, row_id = _place(provider)
        await self.connection.execute(f"DELETE FROM {table} WHERE id = $1", row_id)

    async def set_active(self, purpose: str, active: str, fallback: str | None = None) -> None:
        """Who serves a purpose, and who stands in for it."""
        await self.connection.execute(
            "INSERT INTO active_providers"
            " (purpose, provider_type, provider_id, fallback_provider_type, fallback_provider_id)"
            " VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (purpose) DO UPDATE SET provider_type = $2, provider_id = $3,"
            " fallback_provider_type = $4, fallback_provider_id = $5",
            purpose,
            *_reference(active),
            *(_reference(fallback) if fallback else (None, None)),
        )

    async def serving(self, purpose: str = "chat") -> str:
        """Who serves a purpose now."""
        row = await self.connection.fetchrow(
            "SELECT provider_type, provider_id FROM active_providers WHERE purpose = $1", purpose
        )
        return f"{row['provider_type']}:{row['provider_id']}"

    async def results(self, provider: str, kind: str = "deep") -> list[Any]:
        """Every stored result of a provider, oldest first."""
        found: list[Any] = await self.connection.fetch(
            "SELECT outcome, http_status, latency_seconds, ttft_seconds, tokens_in, tokens_out, model,"
            " detail, started_at FROM monitor.results"
            " WHERE provider_type = $1 AND provider_id = $2 AND kind = $3 ORDER BY started_at, id",
            *_reference(provider),
            kind,
        )
        return found

    async def outcomes(self, provider: str, kind: str = "deep") -> set[str]:
        """What its probes have shown so far."""
        return {row["outcome"] for row in await self.results(provider, kind)}

    async def transitions(self) -> list[Any]:
        """Every committed move, oldest first."""
        found: list[Any] = await self.connection.fetch("SELECT * FROM monitor.transitions ORDER BY id")
        return found

    async def health(self, provider: str, purpose: str = "chat") -> Any:
        """What is believed of a target, as stored; None when nothing is."""
        return await self.connection.fetchrow(
            "SELECT state, eligible, last_outcome, warnings, block, application_status FROM monitor.healths"
            " WHERE provider_type = $1 AND provider_id = $2 AND purpose = $3",
            *_reference(provider),
            purpose,
        )

    async def _insert(self, table: str, values: dict[str, object]) -> int:
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        row_id: int = await self.connection.fetchval(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places}) RETURNING id", *values.values()
        )
        return row_id


def _reference(provider: str) -> tuple[str, int]:
    kind, _, number = provider.partition(":")
    return kind, int(number)


def _place(provider: str) -> tuple[str, int]:
    kind, row_id = _reference(provider)
    return {"ai_server": "ai_servers", "api_key": "llm_api_keys"}[kind], row_id
