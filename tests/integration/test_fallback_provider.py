"""Whom an application turns to when who serves does not answer."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from monitor.integration import LLMProviderIntegration
from tests.application_rows import ApplicationRows


class Purposed:
    """Rows of a purpose, and what a daemon would have written of them."""

    def __init__(self, connection: Any, purpose: str) -> None:
        self.rows = ApplicationRows(connection)
        self.connection = connection
        self.purpose = purpose

    async def serve(self, *names: str, **columns: object) -> list[str]:
        """Servers in this order; the first one serves, the second is the row's fallback."""
        made = [
            await self.rows.add_server(name, "vllm", f"http://127.0.0.1:9/{name}", model_path="m", **columns)
            for name in names
        ]
        await self.rows.set_active(self.purpose, made[0], made[1])
        for place, one in enumerate(made, start=1):
            kind, _, number = one.partition(":")
            await self.connection.execute(
                "INSERT INTO monitor.preferences VALUES ($1, $2, $3, $4)",
                self.purpose,
                place,
                kind,
                int(number),
            )
        return made

    async def believe(
        self, provider: str, *, state: str = "up", eligible: bool = True, stale: bool = False
    ) -> None:
        kind, _, number = provider.partition(":")
        until = datetime.now(UTC) + timedelta(hours=-1 if stale else 1)
        await self.connection.execute(
            "INSERT INTO monitor.healths"
            " (provider_type, provider_id, purpose, fingerprint, state, eligible, health)"
            " VALUES ($1, $2, $3, 'f', $4, $5, $6) ON CONFLICT (provider_type, provider_id, purpose)"
            " DO UPDATE SET state = excluded.state, eligible = excluded.eligible, health = excluded.health",
            kind,
            int(number),
            self.purpose,
            state,
            eligible,
            {"stale_at": until.isoformat()},
        )

    async def vector(self, provider: str, *numbers: float) -> None:
        kind, _, number = provider.partition(":")
        await self.connection.execute(
            "INSERT INTO monitor.embedding_references (provider_type, provider_id, fingerprint, vector)"
            " VALUES ($1, $2, 'f', $3)",
            kind,
            int(number),
            list(numbers),
        )


@pytest.fixture
def integration(pool: Any) -> LLMProviderIntegration:
    return LLMProviderIntegration(SimpleNamespace(pool=pool, keyring=None))


async def fallback(integration: LLMProviderIntegration, purpose: str = "chat") -> str | None:
    config = await integration.get_active_llm_provider(purpose)
    assert config is not None
    found = await integration.get_fallback_provider(config)
    await integration.close()
    return found.provider_name if found is not None else None


async def test_the_first_that_is_fit_in_the_order_of_preference(
    connection: Any, integration: LLMProviderIntegration
) -> None:
    chat = Purposed(connection, "chat")
    one, two, three, four = await chat.serve("one", "two", "three", "four")
    await chat.believe(one, state="down", eligible=False)
    await chat.believe(two, state="down", eligible=False)
    await chat.believe(three, eligible=False)
    await chat.believe(four)
    assert await fallback(integration) == "four"


@pytest.mark.parametrize("spoilt", ["disabled", "maintenance", "stale", "deleted"])
async def test_who_is_out_of_service_is_skipped(
    connection: Any, integration: LLMProviderIntegration, spoilt: str
) -> None:
    chat = Purposed(connection, "chat")
    one, two, three = await chat.serve("one", "two", "three")
    for each in (one, two, three):
        await chat.believe(each, stale=spoilt == "stale" and each == two)
    match spoilt:
        case "disabled":
            await chat.rows.change(two, enabled=False)
        case "deleted":
            await chat.rows.delete(two)
        case "maintenance":
            await connection.execute(
                "INSERT INTO monitor.maintenance (provider_type, provider_id, starts_at, act, user_id)"
                " VALUES ('ai_server', $1, now() - interval '1 minute', 1, 'me')",
                int(two.partition(":")[2]),
            )
        case _:
            pass
    assert await fallback(integration) == "three"


async def test_one_that_cannot_be_called_is_passed_over(
    connection: Any, integration: LLMProviderIntegration
) -> None:
    chat = Purposed(connection, "chat")
    made = await chat.serve("one", "two", "three")
    for each in made:
        await chat.believe(each)
    await chat.rows.change(made[1], api_key="gAAAAA-of-another-key")
    assert await fallback(integration) == "three"


async def test_none_is_fit(connection: Any, integration: LLMProviderIntegration) -> None:
    chat = Purposed(connection, "chat")
    for each in await chat.serve("one", "two"):
        await chat.believe(each, state="down", eligible=False)
    assert await fallback(integration) is None


@pytest.mark.parametrize("stale", [False, True])
async def test_without_a_daemon_it_is_the_rows_own(
    connection: Any, integration: LLMProviderIntegration, stale: bool
) -> None:
    chat = Purposed(connection, "chat")
    one, two, _ = await chat.serve("one", "two", "three")
    if stale:
        for each in (one, two):
            await chat.believe(each, state="down", eligible=False, stale=True)
    assert await fallback(integration) == "two"


async def test_embeddings_stay_in_their_space(connection: Any, integration: LLMProviderIntegration) -> None:
    embeddings = Purposed(connection, "embeddings")
    one, two, three, four = await embeddings.serve("one", "two", "three", "four")
    for each in (one, two, three, four):
        await embeddings.believe(each)
    await embeddings.vector(one, 1.0, 0.0)
    await embeddings.vector(two, 0.0, 1.0)
    await embeddings.vector(four, 1.0, 0.001)
    assert await fallback(integration, "embeddings") == "four"


async def test_an_unknown_space_is_none_without_a_daemon_too(
    connection: Any, integration: LLMProviderIntegration
) -> None:
    embeddings = Purposed(connection, "embeddings")
    await embeddings.serve("one", "two")
    assert await fallback(integration, "embeddings") is None


async def test_named_spaces_tell_without_a_daemon(
    connection: Any, integration: LLMProviderIntegration
) -> None:
    embeddings = Purposed(connection, "embeddings")
    await embeddings.serve("one", "two", metadata={"embedding_space": "bge-m3"})
    assert await fallback(integration, "embeddings") == "two"


async def test_a_fallback_has_a_fallback(connection: Any, integration: LLMProviderIntegration) -> None:
    chat = Purposed(connection, "chat")
    for each in await chat.serve("one", "two"):
        await chat.believe(each)
    config = await integration.get_active_llm_provider("chat")
    assert config is not None
    second = await integration.get_fallback_provider(config)
    assert second is not None
    first = await integration.get_fallback_provider(second)
    assert first is not None
    assert (second.provider_name, first.provider_name) == ("two", "one")
    await integration.close()
