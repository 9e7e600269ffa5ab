"""News for listeners: in order, bounded, and only for as long as they may listen."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from monitor.web import events as module
from monitor.web.events import MOST_WAITING, RESYNC, Events


async def always() -> bool:
    return True


async def first(stream: AsyncIterator[bytes], count: int) -> list[bytes]:
    return [await anext(stream) for _ in range(count)]


async def test_news_come_in_their_order_after_a_word_to_read_everything() -> None:
    hub = Events()
    stream = hub.tell(always)
    assert await first(stream, 1) == [RESYNC.encode()]
    hub.publish("active", '{"purpose": "chat"}')
    hub.publish("configuration", "ai_servers\n\nevent: forged")
    assert await first(stream, 2) == [
        b'event: active\ndata: {"purpose": "chat"}\n\n',
        b'event: configuration\ndata: {"what": "ai_servers\\n\\nevent: forged"}\n\n',
    ]


async def test_whoever_does_not_read_is_told_to_read_anew() -> None:
    hub = Events()
    stream = hub.tell(always)
    await first(stream, 1)
    for number in range(MOST_WAITING + 1):
        hub.publish("health", str(number))
    hub.publish("health", '"last"')
    assert await first(stream, 2) == [RESYNC.encode(), b'event: health\ndata: "last"\n\n']


async def test_a_quiet_stream_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.0)
    assert (await first(Events().tell(always), 2))[1].startswith(b":")


@pytest.mark.timeout(30)
async def test_a_stream_ends_when_its_token_does_and_with_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 1000.0)  # it is told, and does not look by chance
    hub = Events()
    may = True

    async def may_go_on() -> bool:
        return may

    one, two = hub.tell(may_go_on), hub.tell(always)
    await first(one, 1)
    await first(two, 1)
    assert len(hub) == 2
    may = False
    hub.wake()
    assert [piece async for piece in one] == []
    assert len(hub) == 1
    hub.end()
    assert [piece async for piece in two] == []
    assert len(hub) == 0
    assert [piece async for piece in hub.tell(always)] == []
    await asyncio.sleep(0)
