"""The transaction of a move, on a real PostgreSQL."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.health import Health
from monitor.domain.observe import observe
from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.policy import Policy
from monitor.domain.preference import Edit, Pointers
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.situation import Action, Decision, Rule
from monitor.domain.target import ProbeKind, TargetId
from monitor.storage.address import Address, connect
from monitor.storage.edits import adopt_edit
from monitor.storage.healths import StoredHealth, load_healths
from monitor.storage.purposes import load_purposes, load_switches
from monitor.storage.switch import Move, SwitchAborted, commit_move

NOW = datetime.now(UTC)
CHAT = Purpose.CHAT
INSTANCE = str(uuid4())


def server(number: int) -> ProviderRef:
    return ProviderRef(type=ProviderType.AI_SERVER, id=number)


def failure(number: int, ago: float, outcome: Outcome = Outcome.TIMEOUT) -> ProbeResult:
    started = NOW - timedelta(seconds=ago)
    return ProbeResult(
        id=ResultId(uuid4().hex),
        target=TargetId(provider=server(number), purpose=CHAT),
        fingerprint="f",
        kind=ProbeKind.DEEP,
        outcome=outcome,
        started_at=started,
        ended_at=started + timedelta(seconds=1),
    )


class World:
    """Two servers, the first of which serves and has failed three times."""

    def __init__(self, connection: Any, one: int, two: int) -> None:
        self.connection = connection
        self.one, self.two = server(one), server(two)
        self.results = [failure(one, ago) for ago in (60, 40, 20)]
        self.results.append(failure(two, 10, Outcome.OK))

    def move(self, generation: int = 1, act: int = 0) -> Move:
        return Move(
            purpose=CHAT,
            decision=Decision(
                action=Action.MOVE,
                rule=Rule.FAIL_OVER,
                to=self.two,
                reason="it is down",
                evidence=tuple(one.id for one in self.results),
                failure_began_at=self.results[0].started_at,
            ),
            decided_at=NOW,
            seen=Pointers(active=self.one, fallback=self.two),
            generation=generation,
            act=act,
            fallback=self.one,
            policy=Policy(),
            names={self.one: "first", self.two: "second"},
            instance=INSTANCE,
        )

    def healths(self) -> list[StoredHealth]:
        found: dict[TargetId, Health] = {}
        for result in self.results:
            before = found.get(result.target, Health(fingerprint="f"))
            found[result.target] = observe(before, result, Policy())
        return [
            StoredHealth(
                target=id_,
                health=health,
                eligible=health.eligible_since is not None,
                warnings=(),
                block=None,
                status=ApplicationStatus.UNKNOWN,
            )
            for id_, health in found.items()
        ]

    async def commit(
        self, move: Move | None = None, again: Decision | None = None
    ) -> tuple[int, list[ProbeResult]]:
        move = move or self.move()
        second = again or move.decision

        def decide_again(stored: Mapping[ProviderRef, Health]) -> Decision:
            assert set(stored) == {self.one, self.two}
            return second

        return await commit_move(self.connection, move, self.results, self.healths(), decide_again)

    async def counts(self) -> dict[str, int]:
        tables = ("monitor.results", "monitor.healths", "monitor.transitions", "llm_config_audit")
        return {name: await self.connection.fetchval(f"SELECT count(*) FROM {name}") for name in tables}

    async def serves(self) -> int:
        found: int = await self.connection.fetchval("SELECT provider_id FROM active_providers")
        return found


@pytest.fixture
async def world(connection: Any) -> World:
    ids = [
        await connection.fetchval(
            "INSERT INTO ai_servers (name, server_type, base_url) "
            "VALUES ($1, 'vllm', 'http://h') RETURNING id",
            name,
        )
        for name in ("first", "second")
    ]
    await connection.execute(
        "INSERT INTO active_providers VALUES ('chat', 'ai_server', $1, 'ai_server', $2, 'somebody', now())",
        *ids,
    )
    found = World(connection, *ids)
    row = Pointers(active=found.one, fallback=found.two)
    edit = Edit(preference=(found.one, found.two), chosen=True)
    assert await adopt_edit(connection, CHAT, row, edit, None, {}, NOW - timedelta(hours=1), INSTANCE)
    return found


async def test_a_move_writes_the_pointer_the_state_the_evidence_and_the_audit_together(
    world: World, database: Address
) -> None:
    heard: list[str] = []
    listening = await connect(database)
    await listening.add_listener("monitor_active", lambda *said: heard.append(str(said[3])))
    assert await world.commit() == (2, [])
    await listening.fetchval("SELECT 1")
    await listening.close()
    assert len(heard) == 1
    assert '"generation": 2' in heard[0]

    row = dict(await world.connection.fetchrow("SELECT * FROM active_providers"))
    assert (row["provider_id"], row["fallback_provider_id"], row["updated_by"]) == (
        world.two.id,
        world.one.id,
        "monitor",
    )
    transition = dict(await world.connection.fetchrow("SELECT * FROM monitor.transitions"))
    assert transition["rule"] == "fail_over"
    assert transition["from_name"] == "first"
    assert transition["policy"]["fall"] == 3
    assert [one["outcome"] for one in transition["evidence"]] == ["timeout"] * 3 + ["ok"]
    audit = dict(await world.connection.fetchrow("SELECT * FROM llm_config_audit"))
    assert (audit["action"], audit["user_id"], audit["entity_id"]) == ("promote", "monitor", "chat")
    assert await world.counts() == {
        "monitor.results": 4,
        "monitor.healths": 2,
        "monitor.transitions": 1,
        "llm_config_audit": 1,
    }
    state = (await load_purposes(world.connection))[CHAT]
    assert (state.generation, state.rule, state.seen) == (
        2,
        "fail_over",
        Pointers(active=world.two, fallback=world.one),
    )
    switches = await load_switches(world.connection, NOW - timedelta(minutes=1))
    assert [(one.left, one.onto) for one in switches[CHAT]] == [(world.one, world.two)]


async def refused(world: World, match: str, **arguments: Any) -> None:
    """A move that is refused leaves nothing behind: no pointer, no result, no audit."""
    before, served = await world.counts(), await world.serves()
    with pytest.raises(SwitchAborted, match=match):
        await world.commit(**arguments)
    assert await world.counts() == before
    assert await world.serves() == served
    assert (await load_purposes(world.connection))[CHAT].generation == 1


async def test_an_operators_edit_in_that_moment_wins(world: World) -> None:
    await world.connection.execute("UPDATE active_providers SET fallback_provider_id = NULL")
    await refused(world, "somebody else")


async def test_another_daemons_move_in_that_moment_wins(world: World) -> None:
    await refused(world, "another daemon", move=world.move(generation=0))


async def test_nothing_is_moved_onto_a_provider_that_was_disabled_in_that_moment(world: World) -> None:
    await world.connection.execute("UPDATE ai_servers SET enabled = false WHERE id = $1", world.two.id)
    await refused(world, "deleted or disabled")


async def test_a_second_look_at_what_is_stored_may_decide_otherwise(world: World) -> None:
    keep = Decision(action=Action.KEEP, rule=Rule.HOLD, reason="it answers again")
    await refused(world, "decides otherwise", again=keep)


async def test_a_result_that_the_database_refuses_is_left_out_of_the_move(world: World) -> None:
    bad = world.results[1] = replace(world.results[1], cost_usd="secret")  # type: ignore[arg-type]
    assert await world.commit() == (2, [bad])
    assert await world.serves() == world.two.id
    (evidence,) = await world.connection.fetchrow("SELECT evidence FROM monitor.transitions")
    assert [one["id"] for one in evidence] == [one.id for one in world.results if one is not bad]
    assert (await world.counts())["monitor.results"] == 3


async def test_a_refused_result_leaves_nothing_of_a_move_that_is_not_made(world: World) -> None:
    world.results[1] = replace(world.results[1], cost_usd="secret")  # type: ignore[arg-type]
    await world.connection.execute("UPDATE ai_servers SET enabled = false WHERE id = $1", world.two.id)
    await refused(world, "deleted or disabled")


async def test_beliefs_are_read_back_as_they_were_written(world: World) -> None:
    await world.commit()
    stored = await load_healths(world.connection)
    assert stored == {one.target: one.health for one in world.healths()}
