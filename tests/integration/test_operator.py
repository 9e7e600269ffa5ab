"""What operators do by command and by API, on a real PostgreSQL: with an application's own connection."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from monitor.domain.preference import Pointers
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.storage.address import Address, connect
from monitor.storage.migrations import migrate
from monitor.storage.operator import (
    KEEP,
    ActInvalid,
    ActRefused,
    By,
    ProviderDisabled,
    ProviderMissing,
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
from monitor.storage.purposes import PurposeState, load_purposes
from tests.integration.test_storage_migrations import application
from tests.records_of_moves import check_records

CHAT, EMBEDDINGS = Purpose.CHAT, Purpose.EMBEDDINGS
BY = By("root@host", "the GPU is being replaced", "cli")
HOUR = timedelta(hours=1)


def server(number: int) -> ProviderRef:
    return ProviderRef(type=ProviderType.AI_SERVER, id=number)


A, B, C, D = server(1), server(2), server(3), server(4)


class Desk:
    """Four servers, the last of which is disabled; an operator at a connection with an owner of its own."""

    def __init__(self, hand: Any, eye: Any) -> None:
        self.hand = hand
        self.eye = eye

    async def begin(self) -> None:
        for number, name in enumerate(("one", "two", "three", "four"), start=1):
            await self.eye.execute(
                "INSERT INTO ai_servers (id, name, server_type, base_url, enabled)"
                " VALUES ($1, $2, 'vllm', 'http://h', $3)",
                number,
                name,
                number != 4,
            )
            for purpose in (CHAT, EMBEDDINGS):
                await self.believe(server(number), purpose=purpose)

    async def believe(
        self,
        ref: ProviderRef,
        *,
        purpose: Purpose = CHAT,
        state: str = "up",
        block: str | None = None,
        stale_in: timedelta = HOUR,
    ) -> None:
        await self.eye.execute(
            "INSERT INTO monitor.healths (provider_type, provider_id, purpose, fingerprint, state, eligible,"
            " block, last_outcome, health) VALUES ('ai_server', $1, $2, 'f', $3, $4, $5, $6, $7)"
            " ON CONFLICT (provider_type, provider_id, purpose) DO UPDATE SET state = $3, eligible = $4,"
            " block = $5, last_outcome = $6, health = $7",
            ref.id,
            str(purpose),
            state,
            state == "up" and block is None,
            block,
            "ok" if state == "up" else "timeout",
            {"stale_at": (datetime.now(UTC) + stale_in).isoformat()},
        )

    async def state(self, purpose: Purpose = CHAT) -> PurposeState:
        return (await load_purposes(self.eye))[purpose]

    async def row(self, purpose: Purpose = CHAT) -> tuple[int, int | None, str]:
        row = await self.eye.fetchrow("SELECT * FROM active_providers WHERE purpose = $1", str(purpose))
        return (row["provider_id"], row["fallback_provider_id"], row["updated_by"])

    async def order(self, purpose: Purpose = CHAT) -> list[int]:
        rows = await self.eye.fetch(
            "SELECT provider_id FROM monitor.preferences WHERE purpose = $1 ORDER BY position", str(purpose)
        )
        return [row["provider_id"] for row in rows]

    async def audits(self) -> list[tuple[str, str, dict[str, Any]]]:
        rows = await self.eye.fetch("SELECT * FROM llm_config_audit ORDER BY id")
        changes = [row["changes"] for row in rows]
        return [
            (row["action"], row["user_id"], one if isinstance(one, dict) else json.loads(one))
            for row, one in zip(rows, changes, strict=True)
        ]

    async def moves(self) -> list[tuple[str, str | None, str, str]]:
        return [(one.rule, one.left, one.to, one.reason) for one in await check_records(self.eye)]

    async def everything(self) -> list[Any]:
        """All that an act may leave behind."""
        tables = ("active_providers", "monitor.purposes", "monitor.preferences", "monitor.transitions")
        more = ("monitor.acts", "monitor.maintenance", "llm_config_audit")
        return [await self.eye.fetch(f"SELECT * FROM {name} ORDER BY 1, 2") for name in (*tables, *more)]


async def _hand(database: Address, codec: str) -> Any:
    """A connection of an application: JSON as text, or as Python values of its own making."""
    hand = await asyncpg.connect(**database.arguments(), statement_cache_size=0)
    if codec == "python":
        await hand.set_type_codec(
            "jsonb", encoder=lambda one: json.dumps({"own": one}), decoder=json.loads, schema="pg_catalog"
        )
    return hand


@pytest.fixture(params=["TEXT-text", "VARCHAR(100)-python"])
async def desk(request: pytest.FixtureRequest, empty_database: Address) -> AsyncIterator[Desk]:
    spelling, codec = request.param.split("-")
    eye = await connect(empty_database)
    await eye.execute(application(spelling, "timestamp" if spelling == "TEXT" else "created_at"))
    await eye.execute("TRUNCATE ai_servers, llm_api_keys, active_providers, llm_config_audit")
    await migrate(eye)
    hand = await _hand(empty_database, codec)
    found = Desk(hand, eye)
    await found.begin()
    yield found
    await hand.close()
    await eye.close()


@pytest.fixture
async def serving(desk: Desk) -> Desk:
    """The first serves, the second is its fallback, the third stands by."""
    await choose(desk.hand, CHAT, A, B, BY)
    await set_candidates(desk.hand, CHAT, [A, B, C], BY)
    await desk.eye.execute("UPDATE monitor.purposes SET act_taken = act")
    return desk


async def test_a_choice_gives_a_purpose_its_first_row_and_its_order(desk: Desk) -> None:
    acted = await choose(desk.hand, CHAT, A, B, BY)
    assert (acted.changed, acted.active, acted.left, acted.fallback) == (True, A, None, B)
    assert await desk.row() == (1, 2, "root@host")
    assert await desk.order() == [1, 2]
    state = await desk.state()
    assert (state.generation, state.seen, state.rule) == (1, Pointers(active=A, fallback=B), "operator")
    assert state.act == state.chosen_act > state.act_taken
    [(action, user, changes)] = await desk.audits()
    assert (action, user) == ("create", "root@host")
    assert changes["provider"] == "ai_server:1"
    assert changes["reason"] == "the GPU is being replaced"


async def test_a_choice_is_the_new_preference_and_active_at_once(serving: Desk) -> None:
    acted = await choose(serving.hand, CHAT, C, None, BY)
    assert (acted.changed, acted.left, acted.generation) == (True, A, 2)
    assert await serving.row() == (3, None, "root@host")
    assert await serving.order() == [3, 1, 2]
    state = await serving.state()
    assert (state.chosen_act, state.rule, state.generation) == (state.act, "operator", 2)
    assert await serving.moves() == [
        ("operator", "ai_server:1", "ai_server:3", "root@host: the GPU is being replaced")
    ]
    assert [one[0] for one in await serving.audits()] == ["create", "candidates", "update"]


async def test_a_choice_of_what_stands_there_changes_nothing(serving: Desk) -> None:
    before = await serving.everything()
    assert not (await choose(serving.hand, CHAT, A, B, BY)).changed
    assert not (await choose(serving.hand, CHAT, A, KEEP, BY)).changed
    assert await serving.everything() == before


async def test_an_absent_fallback_is_kept_and_null_clears_it(serving: Desk) -> None:
    await choose(serving.hand, CHAT, C, KEEP, BY)
    assert (await serving.row())[:2] == (3, 2)
    await choose(serving.hand, CHAT, C, None, BY)
    assert (await serving.row())[:2] == (3, None)


async def test_the_one_that_is_left_takes_the_place_of_a_kept_fallback_that_serves_now(serving: Desk) -> None:
    await choose(serving.hand, CHAT, B, KEEP, BY)
    assert (await serving.row())[:2] == (2, 1)


async def test_another_fallback_alone_is_no_choice_of_who_serves(serving: Desk) -> None:
    before = await serving.state()
    await choose(serving.hand, CHAT, A, C, BY)
    state = await serving.state()
    assert (state.generation, state.since) == (before.generation, before.since)
    assert await serving.order() == [1, 3]


@pytest.mark.parametrize(
    ("active", "fallback", "error", "says"),
    [
        (server(9), None, ProviderMissing, "ai_server:9: there is no such row"),
        (A, server(9), ProviderMissing, "ai_server:9"),
        (D, None, ProviderDisabled, r"ai_server:4 \(four\) is disabled: enable it first"),
        (A, D, ProviderDisabled, "disabled"),
        (A, A, ActInvalid, "own fallback"),
    ],
)
async def test_a_choice_that_can_not_be_is_refused_and_leaves_nothing(
    serving: Desk, active: ProviderRef, fallback: ProviderRef | None, error: type[Exception], says: str
) -> None:
    before = await serving.everything()
    with pytest.raises(error, match=says):
        await choose(serving.hand, CHAT, active, fallback, BY)
    with pytest.raises(error, match=says):
        await choose(serving.hand, EMBEDDINGS, active, fallback, BY)
    assert await serving.everything() == before


async def test_a_promotion_moves_keeps_the_order_and_holds_the_return(serving: Desk) -> None:
    acted = await promote(serving.hand, CHAT, B, HOUR, BY)
    assert (acted.changed, acted.left, acted.active, acted.fallback) == (True, A, B, A)
    assert await serving.order() == [1, 2, 3]
    state = await serving.state()
    assert (state.held, state.held_until, state.rule) == (True, acted.until, "promote")
    assert state.chosen_act == state.act
    assert [one[:3] for one in await serving.moves()] == [("promote", "ai_server:1", "ai_server:2")]
    assert (await serving.audits())[-1][0] == "promote"
    again = await promote(serving.hand, CHAT, B, None, BY)
    assert (again.changed, again.left, again.generation) == (True, None, 2)
    assert (await serving.state()).held_until is None


async def test_a_promotion_of_the_first_holds_nothing(serving: Desk) -> None:
    await promote(serving.hand, CHAT, B, None, BY)
    acted = await promote(serving.hand, CHAT, A, None, BY)
    assert (acted.left, acted.fallback) == (B, B)
    assert not (await serving.state()).held


async def test_a_fallback_that_is_not_fit_is_not_named_while_another_one_is(serving: Desk) -> None:
    await serving.believe(A, state="down")
    assert (await promote(serving.hand, CHAT, B, None, BY)).fallback == C
    await serving.believe(C, stale_in=-HOUR)
    assert (await promote(serving.hand, CHAT, C, None, BY, force=True)).fallback == B


@pytest.mark.parametrize(
    ("belief", "says"),
    [
        ({"state": "down"}, r"ai_server:2 \(two\) is down \(timeout\): .*--force"),
        ({"block": "auth"}, "is blocked: auth"),
        ({"stale_in": -HOUR}, "has no recent result"),
        ({"state": "unknown"}, "is unknown"),
        (None, "has not been probed for chat yet"),
        ("maintenance", "is in maintenance"),
    ],
)
async def test_one_that_is_not_fit_is_promoted_and_pinned_by_force_alone(
    serving: Desk, belief: Any, says: str
) -> None:
    if belief is None:
        await serving.eye.execute("DELETE FROM monitor.healths WHERE provider_id = 2")
    elif belief == "maintenance":
        await set_maintenance(serving.hand, B, None, None, BY)
    else:
        await serving.believe(B, **belief)
    for act in (promote, pin):
        before = await serving.everything()
        with pytest.raises(ActRefused, match=says):
            await act(serving.hand, CHAT, B, None, BY)
        assert await serving.everything() == before
    assert (await promote(serving.hand, CHAT, B, None, BY, force=True)).active == B
    await choose(serving.hand, CHAT, A, B, BY)
    assert (await choose(serving.hand, CHAT, B, A, BY)).active == B


async def test_a_pin_moves_and_keeps_until_it_is_taken_off(serving: Desk) -> None:
    acted = await pin(serving.hand, CHAT, B, HOUR, BY)
    state = await serving.state()
    assert (state.pinned, state.pinned_until, state.rule) == (B, acted.until, "pin")
    assert not (await pin(serving.hand, CHAT, B, acted.until, BY)).changed
    off = await unpin(serving.hand, CHAT, BY)
    assert (off.changed, off.active, off.generation) == (True, B, 2)
    state = await serving.state()
    assert (state.pinned, state.pinned_until, state.held) == (None, None, False)
    assert not (await unpin(serving.hand, CHAT, BY)).changed
    assert [one[0] for one in await serving.audits()][-2:] == ["pin", "unpin"]


async def test_a_promotion_and_a_choice_end_a_pin_of_another_one(serving: Desk) -> None:
    await pin(serving.hand, CHAT, B, None, BY)
    await promote(serving.hand, CHAT, C, None, BY)
    state = await serving.state()
    assert (state.pinned, state.held) == (None, True)
    await choose(serving.hand, CHAT, A, B, BY)
    state = await serving.state()
    assert (state.pinned, state.held) == (None, False)


async def test_a_pause_lasts_until_it_is_ended_and_says_who(serving: Desk) -> None:
    before = await serving.state()
    assert (await pause(serving.hand, CHAT, BY)).changed
    assert not (await pause(serving.hand, CHAT, By("other", None, "api"))).changed
    state = await serving.state()
    assert (state.paused, state.generation, state.chosen_act) == (True, before.generation, before.chosen_act)
    assert await serving.eye.fetchval("SELECT paused_by FROM monitor.purposes") == "root@host"
    assert (await resume(serving.hand, CHAT, BY)).changed
    assert not (await serving.state()).paused
    assert [one[0] for one in await serving.audits()][-2:] == ["pause", "resume"]


async def test_an_order_is_set_and_nobody_moves(serving: Desk) -> None:
    acted = await set_candidates(serving.hand, CHAT, [C, A], BY)
    assert (acted.changed, acted.active, acted.left) == (True, A, None)
    assert await serving.order() == [3, 1]
    assert (await serving.row())[:2] == (1, 3)
    state = await serving.state()
    assert (state.seen, state.ordered_act) == (Pointers(active=A, fallback=C), state.act)
    assert state.chosen_act < state.act
    assert not (await set_candidates(serving.hand, CHAT, [C, A], BY)).changed
    assert (await serving.audits())[-1][2]["candidates"] == ["ai_server:3", "ai_server:1"]


@pytest.mark.parametrize(
    ("refs", "error"),
    [([], ActInvalid), ([A, A], ActInvalid), ([A, server(9)], ProviderMissing), ([A, D], ProviderDisabled)],
)
async def test_an_order_that_can_not_be_is_refused(
    serving: Desk, refs: list[ProviderRef], error: type[Exception]
) -> None:
    before = await serving.everything()
    with pytest.raises(error):
        await set_candidates(serving.hand, CHAT, refs, BY)
    assert await serving.everything() == before


async def test_a_purpose_without_a_row_is_named(desk: Desk) -> None:
    for act in (pause, resume, unpin):
        with pytest.raises(ProviderMissing, match="No active provider for chat"):
            await act(desk.hand, CHAT, BY)
    with pytest.raises(ProviderMissing, match="No active provider for chat"):
        await promote(desk.hand, CHAT, A, None, BY)


async def test_an_end_that_has_passed_is_refused(serving: Desk) -> None:
    for until in (datetime.now(UTC) - HOUR, timedelta(0), datetime(2030, 1, 1)):  # noqa: DTZ001
        with pytest.raises(ActInvalid):
            await promote(serving.hand, CHAT, B, until, BY)
        with pytest.raises(ActInvalid):
            await set_maintenance(serving.hand, A, None, until, BY)


async def test_maintenance_now_is_told_to_every_purpose_that_names_the_provider(serving: Desk) -> None:
    await choose(serving.hand, EMBEDDINGS, C, None, BY)
    before = (await serving.state()).act
    acted = await set_maintenance(serving.hand, B, None, HOUR, BY)
    assert (acted.changed, acted.lasts, acted.purposes) == (True, True, (CHAT,))
    assert acted.span is not None
    assert acted.span.until is not None
    assert acted.span.until - acted.span.since == HOUR
    assert (await serving.state()).act > before
    assert (await serving.state()).chosen_act < (await serving.state()).act
    assert (await serving.state(EMBEDDINGS)).act < (await serving.state()).act
    action, user, changes = (await serving.audits())[-1]
    assert (action, user, changes["provider"]) == ("maintenance", "root@host", "ai_server:2")

    longer = await set_maintenance(serving.hand, B, None, 2 * HOUR, BY)
    assert longer.span is not None
    assert longer.span.since == acted.span.since
    with pytest.raises(ActRefused, match="--end"):
        await set_maintenance(serving.hand, B, datetime.now(UTC) + HOUR, None, BY)
    ended = await end_maintenance(serving.hand, B, BY)
    assert (ended.changed, ended.lasts) == (True, False)
    assert not (await end_maintenance(serving.hand, B, BY)).changed


async def test_a_planned_maintenance_is_replaced_and_called_off(serving: Desk) -> None:
    tomorrow = datetime.now(UTC) + 24 * HOUR
    planned = await set_maintenance(serving.hand, B, tomorrow, HOUR, BY)
    assert not planned.lasts
    other = await set_maintenance(serving.hand, B, tomorrow + HOUR, tomorrow + 3 * HOUR, BY)
    assert other.span is not None
    assert other.span.until == tomorrow + 3 * HOUR
    off = await end_maintenance(serving.hand, B, BY)
    assert (off.changed, off.span) == (True, None)
    assert await serving.eye.fetchval("SELECT count(*) FROM monitor.maintenance") == 0
    with pytest.raises(ActInvalid, match="before the beginning"):
        await set_maintenance(serving.hand, B, tomorrow, tomorrow - HOUR, BY)
    with pytest.raises(ProviderMissing):
        await set_maintenance(serving.hand, server(9), None, None, BY)


@pytest.mark.parametrize("space", ["same", "other", None])
async def test_embeddings_change_their_space_by_force_alone(desk: Desk, space: str | None) -> None:
    await desk.eye.execute('UPDATE ai_servers SET metadata = \'{"embedding_space": "same"}\' WHERE id = 1')
    if space:
        await desk.eye.execute(
            "UPDATE ai_servers SET metadata = jsonb_build_object('embedding_space', $1::text) WHERE id = 2",
            space,
        )
    await choose(desk.hand, EMBEDDINGS, A, B, BY)
    if space == "same":
        assert (await promote(desk.hand, EMBEDDINGS, B, None, BY)).active == B
        return
    for act in (promote, pin):
        with pytest.raises(ActRefused, match="vector space"):
            await act(desk.hand, EMBEDDINGS, B, None, BY)
    with pytest.raises(ActRefused, match="vector space"):
        await set_candidates(desk.hand, EMBEDDINGS, [B, A], BY)
    if space == "other":
        with pytest.raises(ActRefused, match="--force"):
            await choose(desk.hand, EMBEDDINGS, B, A, BY)
    acted = await promote(desk.hand, EMBEDDINGS, B, None, BY, force=True)
    assert (acted.active, acted.fallback) == (B, A)


async def test_an_edit_that_no_daemon_has_seen_comes_before_the_act(serving: Desk) -> None:
    await serving.eye.execute("UPDATE active_providers SET provider_id = 3")
    await pause(serving.hand, CHAT, BY)
    state = await serving.state()
    assert state.seen == Pointers(active=C, fallback=B)
    assert state.act_taken < state.chosen_act < state.act
    assert await serving.order() == [3, 2, 1]
    assert [one[:3] for one in await serving.moves()] == [("operator", "ai_server:1", "ai_server:3")]


async def test_whoever_listens_is_told_of_every_act(serving: Desk) -> None:
    heard: list[tuple[str, str]] = []
    for channel in ("monitor_config", "monitor_active"):
        await serving.eye.add_listener(channel, lambda *said: heard.append((said[2], said[3])))
    await pause(serving.hand, CHAT, BY)
    await serving.eye.fetchval("SELECT 1")
    assert heard == [("monitor_config", "purposes:chat")]
    heard.clear()
    await promote(serving.hand, CHAT, B, None, BY)
    await serving.eye.fetchval("SELECT 1")
    assert ("monitor_config", "purposes:chat") in heard
    told = [json.loads(payload) for channel, payload in heard if channel == "monitor_active"]
    assert told == [{"purpose": "chat", "generation": 2, "to": "ai_server:2"}]
    heard.clear()
    await set_maintenance(serving.hand, A, None, None, BY)
    await serving.eye.fetchval("SELECT 1")
    assert ("monitor_config", "maintenance:ai_server:1") in heard


async def test_many_who_act_at_once_act_one_after_the_other(serving: Desk, empty_database: Address) -> None:
    hands = [await _hand(empty_database, "text") for _ in range(6)]
    acts = [
        promote(hands[0], CHAT, B, None, BY),
        pin(hands[1], CHAT, C, None, BY),
        choose(hands[2], CHAT, A, B, BY),
        set_maintenance(hands[3], B, None, None, BY),
        set_candidates(hands[4], CHAT, [C, B, A], BY),
        pause(hands[5], CHAT, BY),
    ]
    for found in await asyncio.gather(*acts, return_exceptions=True):
        assert not isinstance(found, BaseException) or isinstance(found, ActRefused), found
    await serving.moves()
    state = await serving.state()
    row = await serving.row()
    assert state.seen is not None
    assert state.seen.active.id == row[0]
    assert state.paused
    for hand in hands:
        await hand.close()


async def test_a_row_that_somebody_holds_is_named(serving: Desk) -> None:
    async with serving.eye.transaction():
        await serving.eye.execute("SELECT 1 FROM active_providers FOR UPDATE")
        with pytest.raises(ActRefused, match="locked by another transaction"):
            await pause(serving.hand, CHAT, BY)
    assert (await pause(serving.hand, CHAT, BY)).changed


def test_who_acts_is_kept_short_and_plain() -> None:
    by = By("  root\x1b[2J@host ", "a\nreason\x00", "cli")
    assert (by.user_id, by.reason) == ("root [2J@host", "a reason")
    assert By("", "", "cli") == By("unknown", None, "cli")
    assert len(By("u" * 500, "r" * 5000, "api").user_id) == 100
