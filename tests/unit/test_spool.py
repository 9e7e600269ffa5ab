"""The spool: what it keeps, what it drops, and what a bad disk does to it."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from monitor.domain.outcome import Outcome, ProbeResult, Readings, ResultId
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.target import ModelName, ProbeKind, TargetId
from monitor.storage.spool import Spool
from monitor.storage.spool_file import NAME

NOON = datetime(2026, 3, 4, 12, 0, 0, 123457, tzinfo=UTC)


def result(number: int, **changes: Any) -> ProbeResult:
    started = NOON + timedelta(seconds=number)
    plain = ProbeResult(
        id=ResultId(f"{number:032x}"),
        target=TargetId(provider=ProviderRef(type=ProviderType.API_KEY, id=1), purpose=Purpose.CHAT),
        fingerprint="f",
        kind=ProbeKind.DEEP,
        outcome=Outcome.OK,
        started_at=started,
        ended_at=started + timedelta(microseconds=1),
    )
    return replace(plain, **changes)


def results(*numbers: int) -> list[ProbeResult]:
    return [result(number) for number in numbers]


class Dropped:
    """Counts what is told to be dropped."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, count: int) -> None:
        self.count += count


@pytest.fixture
def dropped() -> Dropped:
    return Dropped()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    """A disk that is full, for the files that this process writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def sizes(folder: Path) -> list[int]:
    return [file.stat().st_size for file in folder.iterdir()]


async def opened(folder: Path, dropped: Dropped, store: str = "here", **options: Any) -> Spool:
    spool = Spool(folder, dropped, **({"retry_seconds": 0.0} | options))
    assert await spool.open(store)
    return spool


async def test_results_outlive_their_process_whole_once_and_the_oldest_first(
    folder: Path, dropped: Dropped
) -> None:
    wild = result(
        2,
        outcome=Outcome.RATE_LIMITED,
        latency_seconds=0.1234567890123,
        model=ModelName("m"),
        retry_after=timedelta(seconds=7.5),
        tokens_out=10**30,
        detail="a\x00b\ud800",
        readings=Readings(ratelimit_remaining={"a": float("inf")}, tls_expires_at=NOON, model_listed=True),
    )
    large = result(3, readings=Readings(models=("m",) * 1000, embedding=(0.5,) * 1000))
    spool = await opened(folder, dropped)
    assert await spool.add([large, wild])
    assert await spool.add([result(1), wild])
    assert spool.waiting == 3
    await spool.close()

    spool = await opened(folder, dropped)
    assert spool.waiting == 3
    assert await spool.oldest(10) == [result(1), wild, result(3)]
    assert await spool.oldest(1) == [result(1)]
    await spool.remove([result(1).id, wild.id, ResultId("unknown")])
    assert spool.waiting == 1
    assert await spool.oldest(10) == [result(3)]
    await spool.close()
    assert dropped.count == 0
    assert (folder / NAME).stat().st_mode & 0o077 == 0


async def test_a_result_that_cannot_be_written_holds_up_nobody(folder: Path, dropped: Dropped) -> None:
    spool = await opened(folder, dropped)
    assert await spool.add([result(1), result(2, detail=object()), result(3)])
    assert (spool.waiting, dropped.count, await spool.oldest(10)) == (2, 1, results(1, 3))
    await spool.close()


async def test_the_oldest_go_when_there_are_too_many(folder: Path, dropped: Dropped) -> None:
    spool = await opened(folder, dropped, most_rows=5)
    assert await spool.add(results(3, 4, 5, 6))
    assert await spool.add(results(1, 2, 7, 8))
    assert (spool.waiting, dropped.count) == (5, 3)
    assert await spool.oldest(10) == results(4, 5, 6, 7, 8)
    await spool.close()


async def test_the_oldest_go_when_they_are_too_large(folder: Path, dropped: Dropped) -> None:
    spool = await opened(folder, dropped, most_bytes=20_000)
    assert await spool.add([result(number, detail="x" * 5_000) for number in range(10)])
    assert (spool.waiting, dropped.count) == (3, 7)
    assert [one.id for one in await spool.oldest(10)] == [result(number).id for number in (7, 8, 9)]
    await spool.close()


async def test_the_file_shrinks_again_once_it_is_empty(folder: Path, dropped: Dropped) -> None:
    spool = await opened(folder, dropped)
    for start in range(0, 3000, 1000):
        await spool.add(results(*range(start, start + 1000)))
    await spool.remove([one.id for one in await spool.oldest(3000)])
    assert sum(sizes(folder)) < 100_000
    await spool.close()


async def test_results_of_another_database_stay_for_that_one(folder: Path, dropped: Dropped) -> None:
    spool = await opened(folder, dropped, store="there")
    await spool.add(results(1, 2))
    assert await spool.open("here")
    assert (spool.waiting, await spool.oldest(10)) == (0, [])
    await spool.add(results(3))
    assert await spool.oldest(10) == results(3)
    assert await spool.open("there")
    assert (spool.waiting, await spool.oldest(10)) == (2, results(1, 2))
    await spool.close()


async def test_one_process_at_a_time_has_it(folder: Path, dropped: Dropped) -> None:
    first, second = await opened(folder, dropped), Spool(folder, dropped, retry_seconds=0)
    with structlog.testing.capture_logs() as logs:
        assert not await second.open("here")
        assert not await second.add(results(1))
        assert await second.oldest(1) == []
    assert [(one["event"], one["reason"]) for one in logs] == [
        ("spool_unavailable", "another process uses it")
    ]
    await first.add(results(2))
    await first.close()
    assert await second.add(results(1))
    assert await second.oldest(10) == results(1, 2)
    await second.close()


async def test_a_folder_that_cannot_be_used_is_said_once_and_tried_again(
    tmp_path: Path, dropped: Dropped
) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "data", dropped, retry_seconds=0)
    with structlog.testing.capture_logs() as logs:
        assert not await spool.open("here")
        assert not await spool.add(results(1))
    (line,) = logs
    assert line["event"] == "spool_unavailable"
    assert "MONITOR_DATA_DIR" in line["mend"]
    assert not spool.works
    (tmp_path / "file").unlink()
    with structlog.testing.capture_logs() as logs:
        assert await spool.add(results(1))
    assert [one["event"] for one in logs] == ["spool_works_again"]
    await spool.close()


async def test_a_bad_disk_is_not_asked_again_and_again(tmp_path: Path, dropped: Dropped) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "data", dropped, retry_seconds=60)
    assert not await spool.open("here")
    (tmp_path / "file").unlink()
    assert not await spool.add(results(1))
    assert not (tmp_path / "file").exists()
    await spool.close()


async def test_a_full_disk_loses_nothing_that_lies_there_and_is_used_again(
    folder: Path, dropped: Dropped
) -> None:
    spool = await opened(folder, dropped)
    await spool.add(results(1, 2, 3))
    large = [result(number, detail="x" * 10_000) for number in range(10, 20)]
    with structlog.testing.capture_logs() as logs, no_file_grows_beyond(max(sizes(folder))):
        assert not await spool.add(large)
        assert not await spool.add(large)
        assert (spool.waiting, spool.works) == (3, False)
        assert await spool.oldest(10) == results(1, 2, 3)
    assert [one["event"] for one in logs] == ["spool_unavailable"]
    assert await spool.add(large)
    assert await spool.oldest(20) == [*results(1, 2, 3), *large]
    assert dropped.count == 0
    await spool.close()


async def test_what_is_stored_and_cannot_be_removed_is_not_given_again(
    folder: Path, dropped: Dropped
) -> None:
    spool = await opened(folder, dropped)
    await spool.add(results(1, 2, 3))
    blocker = sqlite3.connect(folder / NAME, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    await spool.remove([result(1).id, result(2).id])
    assert spool.waiting == 1
    assert await spool.oldest(10) == results(3)
    blocker.execute("ROLLBACK")
    blocker.close()
    await spool.remove([result(3).id])
    assert (spool.waiting, await spool.oldest(10)) == (0, [])
    await spool.close()
    spool = await opened(folder, dropped)
    assert spool.waiting == 0
    await spool.close()


@pytest.mark.parametrize("damage", ["no database", "a broken page"])
async def test_a_damaged_file_is_moved_aside(folder: Path, dropped: Dropped, damage: str) -> None:
    spool = await opened(folder, dropped)
    await spool.add(results(*range(500)))
    await spool.close()
    content = bytearray((folder / NAME).read_bytes())
    if damage == "no database":
        content = bytearray(b"this is no database at all\n" * 1000)
    else:
        content[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    (folder / NAME).write_bytes(content)
    with structlog.testing.capture_logs() as logs:
        spool = await opened(folder, dropped)
        assert await spool.add(results(1))
    assert [one["event"] for one in logs] == ["spool_corrupt"]
    assert (folder / "spool.corrupt").read_bytes()[4096 * 3 : 4096 * 4] == content[4096 * 3 : 4096 * 4]
    assert await spool.oldest(10) == results(1)
    await spool.close()


async def test_a_row_that_cannot_be_read_is_dropped_and_counted(folder: Path, dropped: Dropped) -> None:
    spool = await opened(folder, dropped)
    await spool.add(results(1, 2, 3))
    other = sqlite3.connect(folder / NAME)
    other.execute("UPDATE results SET body = ? WHERE id = ?", ('{"outcome": "fine"}', result(1).id))
    other.execute("UPDATE results SET body = ? WHERE id = ?", ("[", result(2).id))
    other.commit()
    other.close()
    with structlog.testing.capture_logs() as logs:
        assert await spool.oldest(10) == results(3)
    assert [(one["event"], one["count"]) for one in logs] == [("spooled_results_unreadable", 2)]
    assert (spool.waiting, dropped.count) == (1, 2)
    await spool.close()
