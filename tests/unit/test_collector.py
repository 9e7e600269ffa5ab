"""The collector rests while something large is made, never for long, and works again whatever happens."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from monitor.web import collector
from monitor.web.collector import CollectorRest
from monitor.web.page.pages import Pages


@pytest.fixture(autouse=True)
def _working() -> Iterator[None]:
    assert gc.isenabled()
    yield
    gc.enable()


async def test_it_rests_until_the_last_of_those_who_wanted_it_is_done() -> None:
    one = CollectorRest()
    with one.rest():
        assert not gc.isenabled()
        with one.rest():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


async def test_it_works_again_after_a_failure() -> None:
    with pytest.raises(ValueError, match="spoilt"), CollectorRest().rest():
        raise ValueError("spoilt")
    assert gc.isenabled()


async def test_whatever_takes_longer_is_collected_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MOST_SECONDS", 0.01)
    one = CollectorRest()
    with one.rest():
        await asyncio.sleep(0.05)
        assert gc.isenabled()
        with one.rest():
            assert gc.isenabled(), "one that came later let it rest for longer"
    with one.rest():
        assert not gc.isenabled()


async def test_the_end_of_an_earlier_rest_ends_no_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "MOST_SECONDS", 0.05)
    one = CollectorRest()
    with one.rest():
        pass
    monkeypatch.setattr(collector, "MOST_SECONDS", 60)
    with one.rest():
        await asyncio.sleep(0.1)
        assert not gc.isenabled()


async def test_it_rests_while_a_page_is_made_kept_or_not() -> None:
    pages = Pages(lambda: 0)

    async def works() -> bool:
        return gc.isenabled()

    assert await pages.make(works) is False
    assert await pages.get("home", works) is False
    assert gc.isenabled()
