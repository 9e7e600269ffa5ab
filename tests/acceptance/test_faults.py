"""Every fault that a provider can play, seen by the daemon as a process: outcome, belief and move."""

import json
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest

from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.daemon import QUICK_POLICY, RunningDaemon, running_daemon
from tests.fault_server import FaultServer

POLICY = QUICK_POLICY | {
    "DEEP_INTERVAL": "1.5",
    "STANDBY_INTERVAL": "1.5",
    "FIRST_TOKEN_TIMEOUT": "2",
    "STALL_TIMEOUT": "1",
    "TIMEOUT": "2.2",
}


class Shown(NamedTuple):
    """What a fault has to become."""

    outcome: str
    state: str
    block: str | None
    status: str


DOWN = "down"
FAULTS = {
    "hang_headers": Shown("timeout", DOWN, None, DOWN),
    "hang_stream": Shown("timeout", DOWN, None, DOWN),
    "slow_first_token": Shown("timeout", DOWN, None, DOWN),
    "reset": Shown("unreachable", DOWN, None, DOWN),
    "garbage": Shown("bad_response", DOWN, None, DOWN),
    "redirect": Shown("bad_response", DOWN, None, DOWN),
    "cut_stream": Shown("bad_response", DOWN, None, DOWN),
    "no_finish": Shown("bad_response", DOWN, None, DOWN),
    "error_in_stream": Shown("bad_response", DOWN, None, DOWN),
    "error_200": Shown("bad_response", DOWN, None, DOWN),
    "empty_200": Shown("bad_response", DOWN, None, DOWN),
    "wrong_type": Shown("bad_response", DOWN, None, DOWN),
    "endless": Shown("bad_response", DOWN, None, DOWN),
    "403_html": Shown("bad_response", DOWN, None, DOWN),
    "500": Shown("server_error", DOWN, None, DOWN),
    "529": Shown("server_error", DOWN, None, DOWN),
    "401": Shown("auth_failed", "up", "auth", DOWN),
    "echo_key": Shown("auth_failed", "up", "auth", DOWN),
    "403_json": Shown("auth_failed", "up", "auth", DOWN),
    "402": Shown("quota_exhausted", "up", "quota", DOWN),
    "429_quota": Shown("quota_exhausted", "up", "quota", DOWN),
    "404_model": Shown("model_missing", "up", "model_missing", DOWN),
    "429": Shown("rate_limited", "up", "rate_limited", "degraded"),
    "429_seconds": Shown("rate_limited", "up", "rate_limited", "degraded"),
    "429_date": Shown("rate_limited", "up", "rate_limited", "degraded"),
    "503_loading": Shown("starting", "up", "starting", "degraded"),
    "busy": Shown("busy", "up", None, "degraded"),
    # Our own defect is no vote: without one, the belief of it grows old.
    "400_other": Shown("probe_invalid", "unknown", None, "unknown"),
    "reasoning_only": Shown("ok", "up", None, "healthy"),
}


@pytest.mark.alone  # all thirty faults have to be seen at one moment
@pytest.mark.timeout(180)
async def test_every_fault_becomes_its_outcome_and_its_belief(database: Address, connection: Any) -> None:
    rows = ApplicationRows(connection)
    async with AsyncExitStack() as stack:
        elsewhere = await stack.enter_async_context(FaultServer())
        servers = {name: await stack.enter_async_context(FaultServer()) for name in FAULTS}
        providers = {}
        for name, server in servers.items():
            server.redirect_to = elsewhere.url
            # Only vLLM has counters that tell busy from dead.
            kind = "vllm" if name == "busy" else "openai-compatible"
            providers[name] = await rows.add_server(
                name, kind, server.url, model_path="m1", use_for_chat=True, api_key="sk-told-to-nobody-1"
            )
        daemon = await stack.enter_async_context(
            running_daemon({"DATABASE_URL": database.describe()}, policy=POLICY)
        )
        await daemon.ready()
        await _until_all(daemon, rows, providers, dict.fromkeys(FAULTS, Shown("ok", "up", None, "healthy")))
        for name, server in servers.items():
            server.busy = name == "busy"
            server.play("hang_headers" if name == "busy" else name)
        await _until_all(daemon, rows, providers, FAULTS)

        for name, provider in providers.items():
            assert await rows.outcomes(provider) <= {"ok", FAULTS[name].outcome}, name

        async def application_is_told() -> bool:
            # A statement of its own, after the records.
            told = await connection.fetch("SELECT name, health_status FROM ai_servers")
            return dict(told) == {name: shown.status for name, shown in FAULTS.items()}

        await daemon.until(application_is_told, "the application to be told of every health")
        waits = {
            name: await connection.fetchval(
                "SELECT max(retry_after_seconds) FROM monitor.results WHERE provider_id = $1",
                int(providers[name].partition(":")[2]),
            )
            for name in ("429", "429_seconds", "429_date")
        }
        assert waits["429"] is None
        assert waits["429_seconds"] == 7
        assert 60 < waits["429_date"] <= 91
        assert elsewhere.seen == [], "a redirect is never followed"
        assert await daemon.stop() == 0


async def test_what_is_no_failure_moves_nobody_and_what_is_one_moves_in_time(
    database: Address, connection: Any
) -> None:
    rows = ApplicationRows(connection)
    async with AsyncExitStack() as stack:
        primaries, providers = {}, {}
        for purpose in ("chat", "embeddings", "reranking"):
            pair = [await stack.enter_async_context(FaultServer()) for _ in range(2)]
            one, two = [
                await rows.add_server(f"{purpose} {place}", "vllm", server.url, model_path="m1")
                for place, server in zip(("first", "second"), pair, strict=True)
            ]
            await rows.set_active(purpose, one, two)
            primaries[purpose], providers[purpose] = pair[0], (one, two)
        daemon = await stack.enter_async_context(
            running_daemon({"DATABASE_URL": database.describe()}, policy=POLICY)
        )
        await daemon.ready()
        for purpose, pair_of_ids in providers.items():
            for provider in pair_of_ids:
                await daemon.event("health_changed", target=f"{provider}/{purpose}", after="up")

        # A limit, a request of ours that is refused, a model that loads; then one that is merely busy.
        for faults in (
            {"chat": ("429", "rate_limited"), "embeddings": ("400_other", "probe_invalid")}
            | {"reranking": ("503_loading", "starting")},
            {"chat": ("hang_headers", "busy")},
        ):
            for purpose, (fault, _) in faults.items():
                primaries[purpose].busy = fault == "hang_headers"
                primaries[purpose].play(fault)
            for purpose, (_, outcome) in faults.items():
                await _until_shown(daemon, rows, providers[purpose][0], outcome, 3)
            for purpose in faults:
                primaries[purpose].play(None)
        assert await rows.transitions() == []
        (alarm, *_) = daemon.events("probe_invalid")
        assert alarm["target"] == f"{providers['embeddings'][0]}/embeddings"

        # A firewall's page is a failure and no bad key; a model that is gone; an account without credit.
        for purpose, fault in {"chat": "403_html", "embeddings": "404_model", "reranking": "402"}.items():
            primaries[purpose].play(fault)
        expected = {"chat": "bad_response", "embeddings": "model_missing", "reranking": "quota_exhausted"}
        for purpose, outcome in expected.items():
            await daemon.event("active_provider_changed", purpose=purpose, rule="fail_over")
            assert await rows.serving(purpose) == providers[purpose][1]
            (move,) = [row for row in await rows.transitions() if row["purpose"] == purpose]
            shown = [one["outcome"] for one in move["evidence"]]
            assert shown.count(outcome) >= (3 if outcome == "bad_response" else 2)
            assert "ok" in shown
        assert await daemon.stop() == 0


async def _until_all(
    daemon: RunningDaemon, rows: ApplicationRows, providers: dict[str, str], wanted: dict[str, Shown]
) -> None:
    missing: dict[str, object] = {}

    async def all_are() -> bool:
        missing.clear()
        for name, provider in providers.items():
            results, health = await rows.results(provider), await rows.health(provider)
            shown = wanted[name]
            found = health and (health["state"], health["block"], health["application_status"])
            last = results[-1]["outcome"] if results else None
            if last != shown.outcome or found != shown[1:]:
                missing[name] = (last, found)
        return not missing

    try:
        await daemon.until(all_are, "every outcome")
    except AssertionError as error:
        raise AssertionError(f"not as wanted: {json.dumps(missing, default=str)}\n{error}") from error


async def _until_shown(
    daemon: RunningDaemon, rows: ApplicationRows, provider: str, outcome: str, times: int
) -> None:
    async def is_shown() -> bool:
        return [row["outcome"] for row in await rows.results(provider)].count(outcome) >= times

    await daemon.until(is_shown, f"{outcome} of {provider}, {times} times")
