"""Probes, operators, time and a failing database against the real jobs and the real transaction.

Whatever they do in whichever order, the tables say what FAILOVER's invariants want. Two triggers of the test
witness each move from within its own transaction: what stood there at that very moment.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
import structlog.testing
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from monitor.domain.eligibility import is_eligible
from monitor.domain.outcome import Outcome
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.storage.address import Address, connect
from monitor.storage.healths import read_health
from monitor.storage.operator import (
    Acted,
    ActError,
    By,
    pause,
    pin,
    promote,
    resume,
    set_candidates,
    unpin,
)
from tests import postgres
from tests.records_of_moves import RecordedMove, check_records
from tests.virtual_daemon import POLICY, VirtualDaemon
from tests.virtual_time import VirtualLoop

WITNESS = """
CREATE TABLE witnessed_writes (
    id SERIAL PRIMARY KEY, xid BIGINT, purpose TEXT, by TEXT, before TEXT, after TEXT, fallback TEXT
);
CREATE TABLE witnessed_moves (
    purpose TEXT, generation BIGINT, xid BIGINT, health JSONB, enabled BOOLEAN, paused BOOLEAN,
    pinned BOOLEAN, held BOOLEAN
);
CREATE FUNCTION witness_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.witnessed_writes (xid, purpose, by, before, after, fallback)
    VALUES (txid_current(), NEW.purpose, NEW.updated_by, concat_ws(':', OLD.provider_type, OLD.provider_id),
            concat_ws(':', NEW.provider_type, NEW.provider_id),
            nullif(concat_ws(':', NEW.fallback_provider_type, NEW.fallback_provider_id), ''));
    RETURN NULL;
END $$;
CREATE FUNCTION witness_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.witnessed_moves
    SELECT NEW.purpose, NEW.generation, txid_current(),
           (SELECT health FROM monitor.healths AS one WHERE one.purpose = NEW.purpose
                AND one.provider_type = NEW.to_provider_type AND one.provider_id = NEW.to_provider_id),
           (SELECT enabled FROM public.ai_servers WHERE id = NEW.to_provider_id),
           paused_at IS NOT NULL, pinned_provider_id IS NOT NULL, held_at IS NOT NULL
    FROM monitor.purposes AS ours WHERE ours.purpose = NEW.purpose;
    RETURN NULL;
END $$;
CREATE TRIGGER witness AFTER UPDATE ON active_providers FOR EACH ROW EXECUTE FUNCTION witness_write();
CREATE TRIGGER witness AFTER INSERT ON monitor.transitions FOR EACH ROW EXECUTE FUNCTION witness_move();
"""
TABLES = (
    "ai_servers, active_providers, llm_config_audit, monitor.preferences, monitor.purposes,"
    " monitor.transitions, monitor.results, monitor.healths, monitor.daemons, monitor.problems,"
    " monitor.acts, monitor.maintenance,"
    " witnessed_writes, witnessed_moves"
)
SERVERS = (1, 2, 3)
SERVER = st.sampled_from(SERVERS)
PURPOSES = ("chat", "reranking")
PURPOSE = st.sampled_from(PURPOSES)
DEAD = (Outcome.SERVER_ERROR, Outcome.UNREACHABLE, Outcome.TIMEOUT, Outcome.AUTH_FAILED)
WEATHER = st.sampled_from([*DEAD, Outcome.RATE_LIMITED, Outcome.BUSY, Outcome.INDETERMINATE, Outcome.OK])
SPAN = st.sampled_from([1, 20, 45, 90, 200])
SECOND = timedelta(seconds=1)
BY = By("root@host", None, "cli")
Act = Callable[[Any, Purpose, ProviderRef], Coroutine[Any, Any, Acted]]
ACTS: dict[str, Act] = {
    "promote": lambda sql, purpose, to: promote(sql, purpose, to, None, BY, force=True),
    "pin": lambda sql, purpose, to: pin(sql, purpose, to, None, BY, force=True),
    "unpin": lambda sql, purpose, _: unpin(sql, purpose, BY),
    "pause": lambda sql, purpose, _: pause(sql, purpose, BY),
    "resume": lambda sql, purpose, _: resume(sql, purpose, BY),
    "candidates": lambda sql, purpose, to: set_candidates(sql, purpose, [to], BY),
}
FOLLOWED = timedelta(seconds=20)
LEFT_BEHIND = timedelta(seconds=600)


class Switching(RuleBasedStateMachine):
    """Three servers that may serve two purposes, an operator at psql, and one daemon."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        self.faults: list[dict[str, Any]] = []
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        asyncio.set_event_loop(self.loop)
        self.folder = tempfile.TemporaryDirectory(prefix="lm-")
        self.daemon = VirtualDaemon(self.loop, address, Path(self.folder.name))
        self.address = address
        self.sql: Any = None
        self.checked = 0
        self.edited_at: dict[str, datetime] = {}
        self.acted_at: dict[str, datetime] = {}
        self.edited_last = self.daemon.now()
        self.changed_at = dict.fromkeys(SERVERS, self.daemon.now())

    def run(self, some: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(some)

    async def execute(self, statement: str, *arguments: object) -> str:
        with self.loop.answers():
            status: str = await self.sql.execute(statement, *arguments)
            return status

    @initialize()
    def begin(self) -> None:
        self.run(self._begin())

    async def _begin(self) -> None:
        with self.loop.answers():
            self.sql = await connect(self.address)
        await self.execute(f"TRUNCATE {TABLES} RESTART IDENTITY")
        for server in SERVERS:
            await self._insert_server(server)
        for purpose in PURPOSES:
            await self.execute(
                "INSERT INTO active_providers VALUES ($1, 'ai_server', 1, 'ai_server', 2, 'operator')",
                purpose,
            )
            await self.execute(
                "INSERT INTO monitor.preferences SELECT $1, id, 'ai_server', id FROM ai_servers", purpose
            )
        await self.daemon.start()
        await asyncio.sleep(1)

    async def _insert_server(self, server: int) -> None:
        await self.execute(
            "INSERT INTO ai_servers (id, name, server_type, base_url, model_path)"
            " VALUES ($1, $2, 'vllm', 'http://10.0.0.5:8000', 'm') ON CONFLICT DO NOTHING",
            server,
            f"server {server}",
        )

    # What providers do.

    @rule(server=SERVER, outcome=WEATHER)
    def a_server_changes(self, server: int, outcome: Outcome) -> None:
        self.daemon.weather[server] = outcome
        self.changed_at[server] = self.daemon.now()

    @rule(server=SERVER, outcome=WEATHER)
    def one_probe_shows(self, server: int, outcome: Outcome) -> None:
        before, self.daemon.weather[server] = self.daemon.weather.get(server, Outcome.OK), outcome
        self.changed_at[server] = self.daemon.now()
        self.daemon.probe_now(server)
        self.run(asyncio.sleep(0.01))
        self.daemon.weather[server] = before
        self.run(asyncio.sleep(1))

    @rule(seconds=st.sampled_from([5, 45, 90, 300, 900]))
    def time_passes(self, seconds: int) -> None:
        self.run(asyncio.sleep(seconds))

    # What operators do.

    @rule(purpose=PURPOSE, server=SERVER, fallback=st.sampled_from([*SERVERS, None]), told=st.booleans())
    def an_operator_chooses(self, purpose: str, server: int, fallback: int | None, told: bool) -> None:
        self.run(self._choose(purpose, server, fallback))
        self._tell(told)

    def _tell(self, told: bool) -> None:
        """Notice by NOTIFY; without it the rows are read all the same, in time."""
        self.edited_last = self.daemon.now()
        if told:
            self.daemon.lead.rows_changed()

    async def _edit(self, purpose: str, statement: str, *arguments: object) -> None:
        await self.execute(statement, purpose, *arguments)
        self.edited_last = self.daemon.now()
        with self.loop.answers():
            seen = await self.sql.fetchval(
                "SELECT (one.provider_id, one.fallback_provider_id)"
                " IS NOT DISTINCT FROM (ours.provider_id, ours.fallback_provider_id)"
                " FROM active_providers AS one JOIN monitor.purposes AS ours USING (purpose)"
                " WHERE purpose = $1",
                purpose,
            )
        if seen:
            # What the daemon knows already: written anew, or changed back before anybody could see it.
            self.edited_at.pop(purpose, None)
        else:
            self.edited_at[purpose] = self.daemon.now()

    async def _choose(self, purpose: str, server: int, fallback: int | None) -> None:
        await self._edit(
            purpose,
            "UPDATE active_providers SET provider_id = $2, fallback_provider_type = $3,"
            " fallback_provider_id = $4, updated_by = 'operator' WHERE purpose = $1",
            server,
            "ai_server" if fallback else None,
            fallback,
        )

    @rule(purpose=PURPOSE, fallback=st.sampled_from([*SERVERS, None]), told=st.booleans())
    def an_operator_changes_the_second(self, purpose: str, fallback: int | None, told: bool) -> None:
        self.run(
            self._edit(
                purpose,
                "UPDATE active_providers SET fallback_provider_type = $2, fallback_provider_id = $3,"
                " updated_by = 'operator' WHERE purpose = $1",
                "ai_server" if fallback else None,
                fallback,
            )
        )
        self._tell(told)

    @rule(purpose=PURPOSE)
    def an_operator_writes_the_same(self, purpose: str) -> None:
        self.run(
            self._edit(purpose, "UPDATE active_providers SET updated_by = 'operator' WHERE purpose = $1")
        )
        self._tell(True)

    @rule(purpose=PURPOSE, server=SERVER, told=st.booleans())
    def a_purpose_loses_its_row_and_gets_another(self, purpose: str, server: int, told: bool) -> None:
        self.run(self._edit(purpose, "DELETE FROM active_providers WHERE purpose = $1"))
        self._tell(told)
        self.run(asyncio.sleep(20 if told else 0.1))
        self.run(
            self._edit(
                purpose,
                "INSERT INTO active_providers VALUES ($1, 'ai_server', $2, NULL, NULL, 'operator')",
                server,
            )
        )
        self._tell(told)

    @rule(server=SERVER, enabled=st.booleans(), told=st.booleans())
    def a_server_is_disabled_or_enabled(self, server: int, enabled: bool, told: bool) -> None:
        self.run(self.execute("UPDATE ai_servers SET enabled = $2 WHERE id = $1", server, enabled))
        self._tell(told)

    @rule(server=SERVER, told=st.booleans())
    def a_server_is_deleted(self, server: int, told: bool) -> None:
        self.run(self.execute("DELETE FROM ai_servers WHERE id = $1", server))
        self._tell(told)

    @rule(server=SERVER, told=st.booleans())
    def a_server_is_there_again(self, server: int, told: bool) -> None:
        self.run(self._insert_server(server))
        self._tell(told)

    @rule(server=SERVER)
    def a_server_gets_another_address(self, server: int) -> None:
        self.run(
            self.execute(
                "UPDATE ai_servers SET base_url = $2 WHERE id = $1",
                server,
                f"http://10.0.1.{len(self.daemon.taken) % 250}:8000",
            )
        )
        self._tell(True)

    @rule(purpose=PURPOSE, act=st.sampled_from(sorted(ACTS)), server=SERVER, told=st.booleans())
    def an_operator_acts(self, purpose: str, act: str, server: int, told: bool) -> None:
        self.run(self._act(purpose, act, server))
        self._tell(told)

    async def _act(self, purpose: str, act: str, server: int) -> None:
        """By command or API; refused where there is no such server or row, or it is disabled."""
        to = ProviderRef(type=ProviderType.AI_SERVER, id=server)
        with self.loop.answers():
            try:
                acted = await ACTS[act](self.sql, Purpose(purpose), to)
            except ActError:
                return
        if act in ("promote", "pin") and acted.changed:
            self.acted_at[purpose] = self.daemon.now()
            self.edited_at.pop(purpose, None)

    # What becomes of the daemon and its database.

    @rule(
        purpose=PURPOSE,
        server=SERVER,
        act=st.sampled_from(["choose", "second", "disable", "delete", *sorted(ACTS)]),
    )
    def an_operator_acts_as_a_switch_waits_for_the_database(
        self, purpose: str, server: int, act: str
    ) -> None:
        self.run(self._act_as_a_switch_waits(purpose, server, act))

    async def _act_as_a_switch_waits(self, purpose: str, server: int, act: str) -> None:
        with self.loop.answers():
            active = await self.sql.fetchval(
                "SELECT provider_id FROM active_providers WHERE purpose = $1", purpose
            )
        self.daemon.weather[active] = Outcome.SERVER_ERROR
        self.changed_at[active] = self.daemon.now()
        assert self.daemon.session is not None
        async with self.daemon.session.take():
            await asyncio.sleep(90)
            match act:
                case "choose":
                    await self._choose(purpose, server, None)
                case "second":
                    await self._choose(purpose, active, server)
                case "promote" | "pin" | "unpin" | "pause" | "resume" | "candidates":
                    await self._act(purpose, act, server)
                case "disable":
                    await self.execute("UPDATE ai_servers SET enabled = false WHERE id = $1", server)
                case _:
                    await self.execute("DELETE FROM ai_servers WHERE id = $1", server)
            self.edited_last = self.daemon.now()
        await asyncio.sleep(1)

    @rule(seconds=SPAN)
    def the_session_is_lost_and_regained(self, seconds: int) -> None:
        async def lose() -> None:
            await self.daemon.lose_session(self.sql)
            await asyncio.sleep(seconds)
            await self.daemon.connect()

        self.run(lose())
        self.edited_last = self.daemon.now()

    @rule(seconds=SPAN)
    def the_daemon_restarts(self, seconds: int) -> None:
        async def restart() -> None:
            await self.daemon.stop()
            await asyncio.sleep(seconds)
            await self.daemon.start()

        self.run(restart())
        self.edited_last = self.daemon.now()

    @rule(seconds=SPAN)
    def the_daemon_is_killed(self, seconds: int) -> None:
        async def kill() -> None:
            await asyncio.sleep(1)
            killed_at = self.daemon.now()
            await self.daemon.kill()
            with self.loop.answers():
                stored = {row["id"].hex for row in await self.sql.fetch("SELECT id FROM monitor.results")}
            for id_ in self.daemon.taken.keys() - stored:
                assert self.daemon.taken.pop(id_).ended_at >= killed_at - SECOND, "more is lost than a second"
            await asyncio.sleep(seconds)
            await self.daemon.start()

        self.run(kill())
        self.edited_last = self.daemon.now()

    # What has to hold.

    @invariant()
    def the_tables_are_true(self) -> None:
        if self.sql is not None:
            self.run(self._check())

    async def _check(self) -> None:
        await asyncio.sleep(1)
        self.daemon.check_alive()
        assert not self.faults
        with self.loop.answers():
            moves = await check_records(self.sql)
            stored = await self.sql.fetchval("SELECT count(*) FROM monitor.results")
            writes = await self.sql.fetch("SELECT * FROM witnessed_writes WHERE by = 'monitor'")
            witnessed = await self.sql.fetch("SELECT * FROM witnessed_moves")
        newest = self.daemon.now() - SECOND
        just_now = sum(one.ended_at > newest for one in self.daemon.taken.values())
        assert 0 <= len(self.daemon.taken) - stored <= just_now, "a result was lost, or stored twice"
        assert len(writes) == sum(move.automatic for move in moves), (
            "a write without a record, or the reverse"
        )
        ours = {row["xid"]: row for row in writes}
        witnesses = {(row["purpose"], row["generation"]): row for row in witnessed}
        for number in range(self.checked, len(moves)):
            if moves[number].automatic:
                witness = witnesses[moves[number].purpose, moves[number].generation]
                self._check_move(moves[number], moves[:number], witness, ours[witness["xid"]])
        self.checked = len(moves)
        if self.daemon.now() - self.edited_last >= FOLLOWED:
            await self._check_followed()
        for purpose in PURPOSES:
            await self._check_left(purpose)

    def _check_move(self, move: RecordedMove, before: list[RecordedMove], witness: Any, write: Any) -> None:
        earlier = [one for one in before if one.purpose == move.purpose]
        assert (write["before"], write["after"]) == (move.left, move.to), "it moved another one than it saw"
        assert write["fallback"] != move.to
        assert witness["enabled"], "onto one that was disabled or deleted"
        assert not witness["paused"], "although it was paused"
        assert not witness["pinned"], "although it was pinned"
        assert not (witness["held"] and move.rule == "fail_back"), "back although a promotion held it"
        health = read_health(witness["health"])
        assert health.last is not None
        assert health.last.passed, "onto one whose last probe failed"
        if move.rule != "call_for_help":
            assert is_eligible(health, move.decided_at, POLICY), "onto one that was not eligible"
        for one in earlier:
            if one.automatic and one.left == move.to:
                assert move.decided_at - one.decided_at >= POLICY.return_gap, "back within the gap"
        if move.purpose in self.edited_at:
            assert move.decided_at >= self.edited_at[move.purpose] - SECOND, "decided before an edit"
        # By the daemon's clock: what operators did themselves was noted by that of the database.
        now = self.daemon.now()
        chosen = [one.decided_at for one in earlier if not one.automatic and one.decided_at <= now]
        if move.purpose in self.acted_at and move.decided_at > self.acted_at[move.purpose]:
            chosen.append(self.acted_at[move.purpose])
        if chosen and move.failure_began_at is not None and not move.off_a_gone_one:
            assert move.failure_began_at > max(chosen), "on a failure older than an operator's choice"
        for piece in move.evidence:
            assert self.daemon.taken[piece["id"]].started_at == datetime.fromisoformat(piece["started_at"])

    async def _check_followed(self) -> None:
        with self.loop.answers():
            strangers = await self.sql.fetch(
                "SELECT purpose FROM active_providers FULL JOIN monitor.purposes AS ours USING (purpose)"
                " WHERE active_providers.provider_id IS DISTINCT FROM ours.provider_id"
                " OR active_providers.fallback_provider_id IS DISTINCT FROM ours.fallback_provider_id"
            )
        assert not strangers, "an operator's edit was not followed"

    async def _check_left(self, purpose: str) -> None:
        """Nobody stays for long on a dead one while a candidate is well."""
        since = self.daemon.now() - LEFT_BEHIND
        with self.loop.answers():
            active = await self.sql.fetchval(
                "SELECT provider_id FROM active_providers WHERE purpose = $1", purpose
            )
            kept = await self.sql.fetchval(
                "SELECT paused_at IS NOT NULL OR pinned_provider_id IS NOT NULL FROM monitor.purposes"
                " WHERE purpose = $1",
                purpose,
            )
            others = await self.sql.fetch(
                "SELECT id FROM ai_servers JOIN monitor.preferences ON provider_id = id"
                " WHERE enabled AND purpose = $1 AND id <> $2",
                purpose,
                active,
            )
        calm = self.edited_last <= since and not kept
        if calm and self.daemon.weather.get(active) in DEAD and self.changed_at[active] <= since:
            for row in others:
                well = self.daemon.weather.get(row["id"], Outcome.OK) is Outcome.OK
                assert not (well and self.changed_at[row["id"]] <= since), f"{purpose} stays on a dead one"

    def teardown(self) -> None:
        if self.sql is not None:
            self.run(self._end())
        asyncio.set_event_loop(None)
        self.loop.close()
        self.folder.cleanup()

    async def _end(self) -> None:
        try:
            await self.daemon.stop()
            with self.loop.answers():
                stored = await self.sql.fetch("SELECT id FROM monitor.results")
            assert {row["id"].hex for row in stored} == self.daemon.taken.keys(), "not each result once"
        finally:
            with self.loop.answers():
                await self.sql.close()


def test_whatever_happens_the_tables_hold_every_invariant(postgres_server: Address) -> None:
    address = asyncio.run(_prepare(postgres_server))
    hunt = os.environ.get("STATEFUL_EXAMPLES")  # so many new ones, instead of the same few each time
    try:
        with structlog.testing.capture_logs():
            run_state_machine_as_test(
                lambda: Switching(address),  # type: ignore[arg-type]
                settings=settings(
                    max_examples=int(hunt or "15"),
                    stateful_step_count=30,
                    derandomize=hunt is None,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
    finally:
        asyncio.run(postgres.drop(address))


def test_a_switch_that_waits_behind_another_one_does_not_overwrite_an_edit(postgres_server: Address) -> None:
    """Once found: the edit was taken up while the other purpose's switch was recorded."""
    address = asyncio.run(_prepare(postgres_server))
    machine = Switching(address)
    try:
        with structlog.testing.capture_logs():
            machine.begin()
            steps: tuple[Callable[[], None], ...] = (
                lambda: machine.an_operator_acts_as_a_switch_waits_for_the_database("chat", 1, "choose"),
                lambda: machine.a_purpose_loses_its_row_and_gets_another("chat", 2, told=True),
                lambda: machine.one_probe_shows(1, Outcome.SERVER_ERROR),
                lambda: machine.an_operator_acts_as_a_switch_waits_for_the_database("chat", 1, "second"),
                lambda: machine.time_passes(90),
            )
            for step in steps:
                step()
                machine.the_tables_are_true()
    finally:
        machine.teardown()
        asyncio.run(postgres.drop(address))


async def _prepare(server: Address) -> Address:
    address = await postgres.clone(server)
    connection = await connect(address)
    try:
        await connection.execute(WITNESS)
    finally:
        await connection.close()
    return address
