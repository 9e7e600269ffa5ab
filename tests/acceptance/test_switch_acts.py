"""An operator acts by command or API in the very moment of a switch, at whichever of its statements."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import cycle
from typing import Any

from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.storage.address import Address, connect
from monitor.storage.operator import (
    Acted,
    By,
    choose,
    end_maintenance,
    pause,
    pin,
    promote,
    resume,
    set_candidates,
    set_maintenance,
    unpin,
)
from tests.acceptance.test_switch_faults import MOMENTS, World, world

CHAT = Purpose.CHAT
BY = By("root@host", "in that very moment", "cli")


def server(number: int) -> ProviderRef:
    return ProviderRef(type=ProviderType.AI_SERVER, id=number)


async def act_at(found: World, moment: str, act: Callable[[], Awaitable[Any]]) -> tuple[int, Any]:
    """Let the one that serves die, and act at a statement of the move that follows; gives both."""
    begun: list[asyncio.Future[Any]] = []

    async def begin() -> None:
        begun.append(asyncio.ensure_future(act()))
        await asyncio.sleep(0.05)  # it is done, or waits for the row

    dying = await found.provoke(moment, begin)
    return dying, await begun[0]


async def third(found: World) -> int:
    """Neither the one that serves nor the one that would follow it, the most preferred other."""
    number: int = await found.sql.fetchval(
        "SELECT provider_id FROM monitor.preferences WHERE provider_id <> $1 ORDER BY position OFFSET 1",
        await found.serving(),
    )
    return number


async def taken(found: World) -> None:
    await found.until("SELECT act = act_taken FROM monitor.purposes")


async def test_whoever_names_who_serves_at_any_statement_has_the_last_word(database: Address) -> None:
    async with world(database) as found:
        hand = await connect(database)
        names = cycle(("choose", "promote", "pin"))
        for moment, name in zip(MOMENTS, names, strict=False):
            chosen = await third(found)

            async def act(name: str = name, chosen: int = chosen) -> Acted:
                to = server(chosen)
                if name == "choose":
                    return await choose(hand, CHAT, to, None, BY)
                return await (promote if name == "promote" else pin)(hand, CHAT, to, None, BY)

            dying, acted = await act_at(found, moment, act)
            assert acted.changed
            await taken(found)
            await asyncio.sleep(0.1)
            *before, last = await found.new_moves()
            assert last.rule == ("operator" if name == "choose" else name), moment
            assert [one.automatic for one in before] in ([], [True]), moment
            assert (before or [last])[0].left == f"ai_server:{dying}"
            assert await found.serving() == chosen
            await unpin(hand, CHAT, BY)
        await hand.close()
        await found.end()


async def test_nothing_moves_after_a_pause_at_any_statement(database: Address) -> None:
    async with world(database) as found:
        hand = await connect(database)
        for moment in MOMENTS:
            dying, acted = await act_at(found, moment, lambda: pause(hand, CHAT, BY))
            assert acted.changed
            serves = await found.serving()
            await taken(found)
            await asyncio.sleep(0.7)
            moves = await found.new_moves()
            late = await found.sql.fetchval(
                "SELECT count(*) FROM monitor.transitions"
                " WHERE committed_at > (SELECT max(at) FROM monitor.acts)"
            )
            assert (late, await found.serving()) == (0, serves), moment
            assert len(moves) == (serves != dying), moment
            await resume(hand, CHAT, BY)
            await found.until("SELECT provider_id <> $1 FROM active_providers", dying)
            await found.new_moves()
        await hand.close()
        await found.end()


async def test_an_order_and_a_maintenance_at_any_statement_are_heeded_by_the_move(database: Address) -> None:
    async with world(database) as found:
        hand = await connect(database)
        for moment, name in zip(MOMENTS, cycle(("candidates", "maintenance")), strict=False):
            last = await third(found)
            serves = await found.serving()
            second = 6 - last - (serves or 0)

            async def act(name: str = name, last: int = last, second: int = second) -> Any:
                if name == "candidates":
                    return await set_candidates(hand, CHAT, [server(last), server(second)], BY)
                return await set_maintenance(hand, server(second), None, None, BY)

            dying, acted = await act_at(found, moment, act)
            assert acted.changed
            await taken(found)
            wanted = [last] if name == "maintenance" else [last, second]
            await found.until("SELECT provider_id = ANY($1) FROM active_providers", wanted)
            moves = await found.new_moves()
            assert all(one.automatic for one in moves), moment
            assert [one.left for one in moves[:1]] == [f"ai_server:{dying}"]
            late = await found.sql.fetch(
                "SELECT to_provider_id FROM monitor.transitions"
                " WHERE committed_at > (SELECT max(at) FROM monitor.acts)"
            )
            assert all(row[0] == last for row in late), moment
            await end_maintenance(hand, server(second), BY)
            order = [server(last), server(second), server(dying)]
            await set_candidates(hand, CHAT, order, BY)
        await hand.close()
        await found.end()
