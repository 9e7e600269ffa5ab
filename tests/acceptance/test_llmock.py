"""Six hosted APIs as llmock plays them: each through its own route, gone, hanging, refusing, and back."""

from typing import Any

import pytest
from cryptography.fernet import Fernet

from monitor.keyring import Keyring
from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.daemon import QUICK_POLICY, RunningDaemon, running_daemon
from tests.providers import LlmockServer, failing

POLICY = QUICK_POLICY | {
    "DEEP_INTERVAL": "1.5",
    "STANDBY_INTERVAL": "1.5",
    "FIRST_TOKEN_TIMEOUT": "2",
    "STALL_TIMEOUT": "1.5",
    "TIMEOUT": "2.2",
}

# By provider: llmock's address for it, the path that a chat has to come in at, and a model that llmock knows.
APIS = {
    "openai": ("/v1", "/v1/chat/completions", "gpt-4o-mini"),
    "anthropic": ("/anthropic", "/anthropic/v1/messages", "claude-haiku-4-5-20251001"),
    "google": (
        "/gemini/v1beta",
        "/gemini/v1beta/models/gemini-2.0-flash:streamGenerateContent",
        "gemini-2.0-flash",
    ),
    "cohere": ("/cohere", "/cohere/v2/chat", "command-r"),
    "mistral": ("/mistral/v1", "/mistral/v1/chat/completions", "mistral-medium-latest"),
    "together": (
        "/together/v1",
        "/together/v1/chat/completions",
        "meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo",
    ),
    "groq": ("/groq/openai/v1", "/groq/openai/v1/chat/completions", "llama-3.3-70b-versatile"),
    "xai": ("/xai/v1", "/xai/v1/chat/completions", "grok-3-mini"),
}


async def add_api(rows: ApplicationRows, provider: str, url: str, keyring: Keyring, **columns: Any) -> str:
    prefix, _, model = APIS[provider]
    metadata: dict[str, object] = {"base_url": url + prefix, "model": model}
    if provider == "cohere":  # llmock lists Cohere's models at its second version only
        metadata |= {"models_path": "/v2/models", "key_check_path": "/v2/models"}
    sealed = keyring.seal(f"key-of-{provider}-0123456789")
    return await rows.add_key(provider, sealed.text, metadata=metadata, **columns)


async def prefer(rows: ApplicationRows, order: list[str]) -> None:
    """Everybody is a candidate of the one purpose, in this order."""
    await rows.set_active("chat", order[0], order[1])
    await rows.connection.executemany(
        "INSERT INTO monitor.preferences (purpose, position, provider_type, provider_id)"
        " VALUES ('chat', $1, 'api_key', $2)",
        [(position, int(one.partition(":")[2])) for position, one in enumerate(order)],
    )


async def until_states(
    daemon: RunningDaemon, rows: ApplicationRows, providers: list[str], state: str, seconds: float
) -> None:
    async def all_are() -> bool:
        healths = [await rows.health(one) for one in providers]
        return all(one is not None and one["state"] == state for one in healths)

    await daemon.until(all_are, f"{state} of all of {providers}", seconds)


@pytest.mark.timeout(240)
async def test_every_hosted_api_is_followed_through_death_and_silence(
    database: Address, connection: Any
) -> None:
    rows, secret = ApplicationRows(connection), Fernet.generate_key().decode()
    keyring = Keyring(secret)
    async with LlmockServer() as llmock:
        apis = {provider: await add_api(rows, provider, llmock.url, keyring) for provider in APIS}
        everybody = list(apis.values())
        await prefer(rows, everybody)
        environment = {"DATABASE_URL": database.describe(), "BYOK_ENCRYPTION_KEY": secret}
        async with running_daemon(environment, policy=POLICY) as daemon:
            await daemon.ready()
            await until_states(daemon, rows, everybody, "up", 40)
            for provider, api in apis.items():
                first = (await rows.results(api))[0]
                assert (first["outcome"], first["model"]) == ("ok", APIS[provider][2])
                assert 0 < first["latency_seconds"] < 2.2
                # Cohere's stream does not say how it ended to litellm, so it is asked for a whole answer.
                assert (first["ttft_seconds"] is None) == (provider == "cohere")
                assert first["tokens_out"] is None or first["tokens_out"] > 0
            await _lights_pass(daemon, rows, everybody)
            assert {path for _, path, _ in APIS.values()} <= await llmock.paths(), "each by its own route"

            await llmock.kill()
            await until_states(daemon, rows, everybody, "down", 30)
            for api in everybody:
                assert await rows.outcomes(api) == {"ok", "unreachable"}
            # Nobody is left to go to: the pointer stays, and somebody is called.
            await daemon.event("purpose_stranded", seconds=10)
            assert await rows.serving() == everybody[0]

            await llmock.start()
            await until_states(daemon, rows, everybody, "up", 30)

            llmock.freeze()
            await until_states(daemon, rows, everybody, "down", 40)
            for api in everybody:
                assert await rows.outcomes(api) == {"ok", "unreachable", "timeout"}
            llmock.thaw()
            await until_states(daemon, rows, everybody, "up", 40)
            assert await daemon.stop() == 0


async def test_scripted_faults_are_told_apart_and_only_a_sound_provider_is_moved_onto(
    database: Address, connection: Any
) -> None:
    rows, secret = ApplicationRows(connection), Fernet.generate_key().decode()
    keyring = Keyring(secret)
    async with LlmockServer() as llmock:
        apis = {provider: await add_api(rows, provider, llmock.url, keyring) for provider in APIS}
        sound = apis.pop("together")
        await prefer(rows, [*apis.values(), sound])
        environment = {"DATABASE_URL": database.describe(), "BYOK_ENCRYPTION_KEY": secret}
        async with running_daemon(environment, policy=POLICY) as daemon:
            await daemon.ready()
            await until_states(daemon, rows, [*apis.values(), sound], "up", 40)

            limited = failing(429, APIS["openai"][1], retry_after=1)
            await llmock.script(
                limited,
                failing(529, APIS["anthropic"][1]),
                failing(401, APIS["google"][1]),
                failing(402, APIS["cohere"][1]),
                _broken_stream("truncate", APIS["mistral"][1]),
                _broken_stream("disconnect", APIS["groq"][1]),
                _broken_stream("stall", APIS["xai"][1], stall_seconds=30),
            )
            shown = {
                "openai": "rate_limited",
                "anthropic": "server_error",
                "google": "auth_failed",
                "cohere": "quota_exhausted",
                "mistral": "bad_response",
                "groq": "bad_response",
                "xai": "timeout",
            }
            for provider, outcome in shown.items():
                await _until_shown(daemon, rows, apis[provider], outcome, times=3)
                assert await rows.outcomes(apis[provider]) == {"ok", outcome}
            for provider, block in {"google": "auth", "cohere": "quota"}.items():
                await daemon.event("block_began", target=f"{apis[provider]}/chat", block=block)
            # A limit alone is no reason to leave, however broken the others are.
            assert await rows.transitions() == []
            health = await rows.health(apis["openai"])
            assert (health["state"], health["application_status"]) == ("up", "degraded")

            await llmock.unscript()
            await llmock.script(
                *(failing(401, path) for provider, (_, path, _) in APIS.items() if provider != "together")
            )
            moved = await daemon.event("active_provider_changed", seconds=30, rule="fail_over")
            assert await rows.serving() == sound, moved
            (move,) = await rows.transitions()
            assert [one["outcome"] for one in move["evidence"]].count("auth_failed") >= 2

            await llmock.unscript()
            await daemon.event("active_provider_changed", seconds=40, rule="fail_back")
            assert await daemon.stop() == 0


async def _lights_pass(daemon: RunningDaemon, rows: ApplicationRows, providers: list[str]) -> None:
    async def all_pass() -> bool:
        return all([await rows.outcomes(one, "light") == {"ok"} for one in providers])

    await daemon.until(all_pass, "a good light probe of everybody, and no other")


async def _until_shown(
    daemon: RunningDaemon, rows: ApplicationRows, provider: str, outcome: str, times: int
) -> None:
    async def is_shown() -> bool:
        return [row["outcome"] for row in await rows.results(provider)].count(outcome) >= times

    await daemon.until(is_shown, f"{outcome} of {provider}, {times} times")


def _broken_stream(kind: str, path: str, **more: object) -> dict[str, object]:
    return {"type": "stream_fault", "kind": kind, "times": None, "match": {"path": path}, **more}
