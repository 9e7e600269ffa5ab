"""What an application's requests show reaches the database, and costs nothing when it cannot."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.reports import ReportOutcome
from monitor.domain.target import TargetId
from monitor.integration import LLMProviderIntegration
from monitor.integration.configuration import ProviderConfiguration
from monitor.integration.reports import MOST_WAITING, Reports
from monitor.storage.reports import ReportBatch, add_reports, load_reports
from tests.application_rows import ApplicationRows
from tests.daemon import free_port
from tests.fault_server import FaultServer
from tests.unit.build import START

CHAT = TargetId(provider=ProviderRef(type=ProviderType.AI_SERVER, id=1), purpose=Purpose.CHAT)
REFUSED = httpx.ConnectError("refused")
LITELLM_WARNS = pytest.mark.filterwarnings("ignore::Warning")
"""Its models of answers warn while they are built."""


@asynccontextmanager
async def reporting(pool: Any) -> AsyncIterator[Reports]:
    reports = Reports(pool)
    try:
        yield reports
    finally:
        await reports.close()


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


async def counts(connection: Any) -> Counter[str]:
    """Every request that was reported, by what it showed."""
    found: Counter[str] = Counter()
    for row in await connection.fetch("SELECT counts FROM monitor.reports"):
        found.update(row["counts"])
    return found


async def test_failures_from_any_thread_arrive_with_their_ages_and_only_once(
    pool: Any, connection: Any
) -> None:
    async with reporting(pool) as reports:

        def fail() -> None:
            for _ in range(50):
                reports.failure(CHAT, REFUSED)

        threads = [threading.Thread(target=fail) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)

        async def all_there() -> bool:
            return (await counts(connection))["unreachable"] >= 200

        await until(all_there)
    assert await counts(connection) == {"unreachable": 200}
    (first, *_) = await load_reports(connection, 0, (), START)
    assert first.target == CHAT
    assert {one.outcome for one in first.reports} == {ReportOutcome.UNREACHABLE}
    ages = await connection.fetchval("SELECT ages_seconds FROM monitor.reports ORDER BY id LIMIT 1")
    assert 0 < len(ages) <= 100
    assert sorted(ages, reverse=True) == ages
    assert reports.dropped == 0


async def test_while_all_is_well_the_database_hears_nothing(pool: Any, connection: Any) -> None:
    async with reporting(pool) as reports:
        for _ in range(1000):
            reports.add(CHAT, ReportOutcome.OK)
        assert reports._task is None
        reports.failure(CHAT, REFUSED)
        for _ in range(3):
            reports.add(CHAT, ReportOutcome.OK)
    assert await counts(connection) == {"unreachable": 1, "ok": 3}


async def test_a_loud_outage_is_a_few_small_writes(pool: Any, connection: Any) -> None:
    async with reporting(pool) as reports:
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            for _ in range(20):
                reports.failure(CHAT, REFUSED)
            await asyncio.sleep(0.01)
        took = time.monotonic() - began
    rows = await connection.fetch("SELECT cardinality(ages_seconds) AS told FROM monitor.reports")
    assert 2 <= len(rows) <= took / 0.1 + 2
    assert max(row["told"] for row in rows) <= 100
    assert (await counts(connection))["unreachable"] > 100


async def test_without_a_database_nothing_waits_and_nothing_breaks() -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    async with asyncpg.create_pool(min_size=0, connect=refuse) as pool, reporting(pool) as reports:
        with capture_logs() as logs:
            for _ in range(MOST_WAITING + 500):
                reports.failure(CHAT, REFUSED)
            assert len(reports._waiting) <= MOST_WAITING

            async def all_lost() -> bool:
                return reports.dropped == MOST_WAITING + 500

            await until(all_lost)
            reports.failure(CHAT, REFUSED)
        assert [one["event"] for one in logs] == ["reports_dropped"]
    reports.failure(CHAT, REFUSED)
    assert reports.dropped >= MOST_WAITING + 501


async def test_an_application_without_an_event_loop_only_loses_its_reports() -> None:
    reports = Reports(SimpleNamespace())
    reports.failure(CHAT, REFUSED)
    assert (reports.dropped, len(reports._waiting), reports._awake) == (1, 0, False)


async def test_only_ages_count_whatever_the_clocks_say(pool: Any, connection: Any) -> None:
    batch = ReportBatch(
        target=CHAT,
        source="app@host:1",
        via="library",
        ages_seconds=[500.0, 30.0, -7.0],
        outcomes=[ReportOutcome.TIMEOUT, ReportOutcome.OK, ReportOutcome.SERVER_ERROR],
    )
    await add_reports(connection, [batch])
    await connection.execute("UPDATE monitor.reports SET received_at = clock_timestamp() - interval '5 s'")
    (row,) = await load_reports(connection, 0, (), START)
    assert [(START - one.at).total_seconds() for one in row.reports] == pytest.approx([65, 35, 5], abs=1)
    # A clock that was set back since makes nothing come from the future.
    await connection.execute("UPDATE monitor.reports SET received_at = clock_timestamp() + interval '1 h'")
    (row,) = await load_reports(connection, 0, (), START)
    assert [(START - one.at).total_seconds() for one in row.reports] == [60, 30, 0]
    assert await load_reports(connection, row.id, (), START) == []
    assert await load_reports(connection, row.id, [row.id], START) == [row]


# litellm


@pytest.fixture
async def integration(pool: Any) -> AsyncIterator[LLMProviderIntegration]:
    integration = LLMProviderIntegration(SimpleNamespace(pool=pool, keyring=None))
    yield integration
    await integration.close()


@pytest.fixture
def litellm() -> Iterator[Any]:
    import litellm

    before = list(litellm.callbacks)
    yield litellm
    litellm.callbacks = before
    for name in (
        "success_callback",
        "failure_callback",
        "_async_success_callback",
        "_async_failure_callback",
    ):
        setattr(litellm, name, [])


async def served(
    integration: LLMProviderIntegration, connection: Any, url: str, kind: str = "openai-compatible"
) -> ProviderConfiguration:
    rows = ApplicationRows(connection)
    ref = await rows.add_server("one", kind, url, model_path="m1")
    for purpose in Purpose:
        await rows.set_active(str(purpose), ref)
    found = await integration.get_active_llm_provider("chat")
    assert found is not None
    return found


CALLS: dict[str, Callable[[Any, dict[str, Any]], Awaitable[Any]]] = {}


def call(make: Callable[[Any, dict[str, Any]], Awaitable[Any]]) -> None:
    CALLS[make.__name__] = make


SAY = [{"role": "user", "content": "hello"}]


@call
async def completion(litellm: Any, config: dict[str, Any]) -> None:
    await asyncio.to_thread(litellm.completion, messages=SAY, **config)


@call
async def acompletion(litellm: Any, config: dict[str, Any]) -> None:
    await litellm.acompletion(messages=SAY, **config)


@call
async def stream(litellm: Any, config: dict[str, Any]) -> None:
    def run() -> None:
        for _ in litellm.completion(messages=SAY, stream=True, **config):
            pass

    await asyncio.to_thread(run)


@call
async def astream(litellm: Any, config: dict[str, Any]) -> None:
    async for _ in await litellm.acompletion(messages=SAY, stream=True, **config):
        pass


@call
async def embedding(litellm: Any, config: dict[str, Any]) -> None:
    await asyncio.to_thread(litellm.embedding, input=["x"], **config)


@call
async def aembedding(litellm: Any, config: dict[str, Any]) -> None:
    await litellm.aembedding(input=["x"], **config)


@call
async def rerank(litellm: Any, config: dict[str, Any]) -> None:
    config = {**config, "custom_llm_provider": "cohere"}
    await asyncio.to_thread(litellm.rerank, query="x", documents=["a", "b"], **config)


@call
async def arerank(litellm: Any, config: dict[str, Any]) -> None:
    config = {**config, "custom_llm_provider": "cohere"}
    await litellm.arerank(query="x", documents=["a", "b"], **config)


@LITELLM_WARNS
@pytest.mark.parametrize("name", CALLS)
async def test_every_kind_of_call_is_reported_once(
    name: str, integration: LLMProviderIntegration, connection: Any, litellm: Any
) -> None:
    litellm.callbacks = [integration.litellm_callback()]
    async with FaultServer() as server:
        config = (await served(integration, connection, server.url)).to_litellm_config()
        server.play("500")
        with pytest.raises((litellm.APIError, litellm.InternalServerError)):
            await CALLS[name](litellm, {**config, "max_retries": 0})

        async def failed() -> bool:
            return (await counts(connection))["server_error"] >= 1

        await until(failed)
        server.play(None)
        await CALLS[name](litellm, {**config, "max_retries": 0})

        async def passed() -> bool:
            return (await counts(connection))["ok"] >= 1

        await until(passed)
        await asyncio.sleep(0.3)
    assert await counts(connection) == {"server_error": 1, "ok": 1}
    named = await connection.fetchval("SELECT provider_id FROM monitor.reports LIMIT 1")
    assert named == config["metadata"]["provider_id"]


SAID: dict[str, str | None] = {
    "hang_headers": "timeout",
    "reset": "unreachable",
    "500": "server_error",
    "503": "server_error",
    "529": "server_error",
    "503_loading": None,
    "429": None,
    "400_other": None,
    "401": None,
    "402": None,
    "403_html": None,
    "404_model": None,
    "error_200": None,
}


@LITELLM_WARNS
@pytest.mark.parametrize("name", ["completion", "acompletion", "astream"])
async def test_a_failure_is_told_by_its_class_and_the_callers_own_is_not(
    name: str, integration: LLMProviderIntegration, connection: Any, litellm: Any
) -> None:
    litellm.callbacks = [integration.litellm_callback()]
    async with FaultServer() as server:
        config = (await served(integration, connection, server.url)).to_litellm_config()
        for fault in SAID:
            server.play(fault)
            with suppress(Exception):
                await CALLS[name](litellm, {**config, "max_retries": 0, "timeout": 1})
    with suppress(Exception):
        await CALLS[name](litellm, {**config, "max_retries": 0})  # nobody listens there any more
    wanted = Counter(outcome for outcome in SAID.values() if outcome is not None) + Counter(["unreachable"])

    async def all_told() -> bool:
        return (await counts(connection)).total() >= wanted.total()

    await until(all_told)
    found = await counts(connection)
    found.pop("ok", None)
    assert found == wanted


@LITELLM_WARNS
async def test_requests_that_name_no_provider_are_not_reported(
    integration: LLMProviderIntegration, connection: Any, litellm: Any
) -> None:
    litellm.callbacks = [integration.litellm_callback()]
    config = (await served(integration, connection, f"http://127.0.0.1:{free_port()}")).to_litellm_config()
    named = config.pop("metadata")
    for metadata in (None, {}, {"tenant": 7}, {**named, "provider_id": "1"}, {**named, "purpose": "poetry"}):
        with pytest.raises(litellm.InternalServerError):
            await litellm.acompletion(messages=SAY, max_retries=0, metadata=metadata, **config)
    with pytest.raises(litellm.InternalServerError):
        await litellm.acompletion(messages=SAY, max_retries=0, metadata={"tenant": 7, **named}, **config)

    async def told() -> bool:
        return (await counts(connection)).total() >= 1

    await until(told)
    assert await counts(connection) == {"unreachable": 1}


@LITELLM_WARNS
@pytest.mark.parametrize(
    ("name", "kind"), [("acompletion", "openai-compatible"), ("acompletion", "vllm"), ("aembedding", "vllm")]
)
async def test_what_names_the_provider_does_not_leave_the_house(
    name: str, kind: str, integration: LLMProviderIntegration, connection: Any, litellm: Any
) -> None:
    bodies: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        bodies.append(f"{dict(request.headers)} {await request.text()}")
        return web.json_response({"error": {"message": "no"}}, status=500)

    runner = web.AppRunner(app := web.Application())
    app.router.add_route("*", "/{path:.*}", answer)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    litellm.callbacks = [integration.litellm_callback()]
    config = await served(integration, connection, f"http://127.0.0.1:{runner.addresses[0][1]}", kind)
    with pytest.raises(litellm.InternalServerError):
        await CALLS[name](litellm, {**config.to_litellm_config(), "max_retries": 0})
    await runner.cleanup()
    assert bodies
    assert not any("provider_id" in body or "metadata" in body for body in bodies)


@LITELLM_WARNS
@pytest.mark.parametrize("name", ["completion", "acompletion", "astream"])
async def test_a_callback_that_breaks_breaks_no_request(
    name: str, integration: LLMProviderIntegration, connection: Any, litellm: Any
) -> None:
    class Broken(Reports):
        def add(self, target: TargetId, outcome: ReportOutcome) -> None:
            raise RuntimeError("broken")

    integration._reports = Broken(SimpleNamespace())
    litellm.callbacks = [integration.litellm_callback()]
    async with FaultServer() as server:
        config = (await served(integration, connection, server.url)).to_litellm_config()
        await CALLS[name](litellm, config)
        server.play("500")
        with pytest.raises((litellm.APIError, litellm.InternalServerError)):
            await CALLS[name](litellm, {**config, "max_retries": 0})
        server.play(None)
        await CALLS[name](litellm, config)
