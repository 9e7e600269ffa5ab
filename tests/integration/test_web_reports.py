"""Reports over HTTP, as an application in another language posts them."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from monitor.domain.access import TokenRole
from monitor.doors import Doors
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.storage.address import Address
from monitor.storage.record import read_clock
from monitor.storage.reports import load_reports
from monitor.storage.tokens import create_token
from tests.application_rows import ApplicationRows
from tests.daemon import free_port
from tests.still_daemon import StillDaemon
from tests.unit.build import START

PATH = "/api/v1/monitor/reports"


@pytest.fixture
async def asker(database: Address, connection: Any, tmp_path: Any) -> AsyncIterator[aiohttp.ClientSession]:
    made = await create_token(connection, name="shop", role=TokenRole.REPORTER, lifetime=None, by="x")
    clock = await read_clock(connection)
    doors = Doors(
        Settings(data_dir=tmp_path, port=free_port()), StillDaemon(), Metrics(version="1"), lambda: clock
    )
    await doors.open()
    try:
        await doors.database_found(database, None)
        headers = {"authorization": f"Bearer {made.text}"}
        async with aiohttp.ClientSession(doors.url, headers=headers) as session:
            yield session
    finally:
        await doors.close()


def one(provider: str, **fields: object) -> dict[str, object]:
    return {"provider": provider, "purpose": "chat", "outcome": "timeout", "age_seconds": 0.5} | fields


async def test_reports_are_stored_oldest_first_by_target(asker: Any, connection: Any) -> None:
    rows = ApplicationRows(connection)
    gpu = await rows.add_server("gpu", "vllm", "http://x")
    other = await rows.add_server("other", "vllm", "http://y")
    reports = [
        one(gpu, age_seconds=1),
        one(gpu, age_seconds=3, outcome="ok"),
        one(other, purpose="embeddings", outcome="server_error", age_seconds=0),
    ]
    async with asker.post(PATH, json={"reports": reports}) as answer:
        assert (answer.status, await answer.json()) == (202, {"accepted": 3})
    first, second = await load_reports(connection, 0, (), START)
    assert str(first.target) == f"{gpu}/chat"
    assert [(str(seen.outcome), seen.source) for seen in first.reports] == [
        ("ok", "shop"),
        ("timeout", "shop"),
    ]
    assert (first.reports[1].at - first.reports[0].at).total_seconds() == 2
    assert str(second.target) == f"{other}/embeddings"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"provider": "gpu"}, "provider"),
        ({"provider": "ai_server:99999999999"}, "provider"),
        ({"purpose": "poetry"}, "purpose"),
        ({"outcome": "rate_limited"}, "outcome"),
        ({"age_seconds": -1}, "age_seconds"),
        ({"age_seconds": 61}, "age_seconds"),
        ({"age_seconds": "NaN"}, "age_seconds"),
        ({"at": "2026-03-01T12:00:00Z"}, "at"),
    ],
)
async def test_a_wrong_report_is_refused_with_its_place_and_field(
    wrong: dict[str, object], field: str, asker: Any, connection: Any
) -> None:
    gpu = await ApplicationRows(connection).add_server("gpu", "vllm", "http://x")
    async with asker.post(PATH, json={"reports": [one(gpu), one(gpu) | wrong]}) as answer:
        detail = (await answer.json())["detail"]
        assert (answer.status, detail[0]["loc"]) == (422, ["body", "reports", 1, field])
    assert await load_reports(connection, 0, (), START) == []


@pytest.mark.parametrize(("count", "status"), [(0, 422), (1, 202), (1000, 202), (1001, 422)])
async def test_a_batch_is_bounded(count: int, status: int, asker: Any, connection: Any) -> None:
    gpu = await ApplicationRows(connection).add_server("gpu", "vllm", "http://x")
    async with asker.post(PATH, json={"reports": [one(gpu)] * count, "source": "shop@web-1"}) as answer:
        assert answer.status == status
    told = sum(len(row.reports) for row in await load_reports(connection, 0, (), START))
    counted = await connection.fetchval("SELECT sum((counts->>'timeout')::int) FROM monitor.reports")
    assert (told, counted) == ((min(count, 100), count) if status == 202 else (0, None))


async def test_reports_of_a_provider_that_does_not_exist_are_refused(asker: Any) -> None:
    async with asker.post(PATH, json={"reports": [one("api_key:7")]}) as answer:
        assert (answer.status, await answer.json()) == (404, {"detail": "Provider api_key:7 not found"})
