"""What many tests need: databases, connections to them, and an order for those who run side by side."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from monitor.logs import LOUD_ONLY
from monitor.storage.address import Address, connect, create_pool
from tests import postgres, side_by_side


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> side_by_side.Scheduling:
    """How `pytest -n` hands out tests."""
    return side_by_side.Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers keep all cores busy to the end; one who runs them all alone begins with what tells quickly."""
    if hasattr(config, "workerinput"):
        order = {
            nodeid: place for place, nodeid in enumerate(side_by_side.arrange([one.nodeid for one in items]))
        }
        items.sort(key=lambda item: order[item.nodeid])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Address]:
    """The database `monitor` of this run's own server; tests take a clone instead."""
    with postgres.running_server() as address:
        yield address


@pytest.fixture
async def database(postgres_server: Address) -> AsyncIterator[Address]:
    """A migrated database of the test's own."""
    address = await postgres.clone(postgres_server)
    yield address
    await postgres.drop(address)


@pytest.fixture
async def empty_database(postgres_server: Address) -> AsyncIterator[Address]:
    """A database of the test's own without any table."""
    address = await postgres.clone(postgres_server, postgres.EMPTY)
    yield address
    await postgres.drop(address)


@pytest.fixture
async def connection(database: Address) -> AsyncIterator[Any]:
    """A connection to the test's migrated database."""
    opened = await connect(database)
    yield opened
    await opened.close()


@pytest.fixture
async def pool(database: Address) -> AsyncIterator[Any]:
    """A pool on the test's migrated database."""
    opened = await create_pool(database, min_size=1, max_size=4)
    yield opened
    await opened.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder with a short path that PostgreSQL's account may pass through."""
    with postgres.open_folder() as folder:
        yield folder


@pytest.fixture(autouse=True)
def _unconfigured() -> None:
    """A command that another test ran in this process has set how much is logged."""
    structlog.reset_defaults()


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Whatever a test configures ends with it, and whatever others had configured is away meanwhile."""
    root = logging.getLogger()
    handlers, level, complains = root.handlers[:], root.level, logging.raiseExceptions
    chatty = [logging.getLogger(name) for name in LOUD_ONLY]
    before = [(one, one.level, one.propagate) for one in chatty]
    for one in chatty:
        one.propagate = True  # a prober that was warmed up in this process has silenced some for good
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for one, its_level, propagates in before:
        one.setLevel(its_level)
        one.propagate = propagates
    logging.captureWarnings(False)
    logging.raiseExceptions = complains
    structlog.reset_defaults()
