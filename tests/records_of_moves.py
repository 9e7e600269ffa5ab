"""What holds of the tables whatever happened: every move once, numbered, with evidence; nothing doubled."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

AUTOMATIC = frozenset({"fail_over", "call_for_help", "fail_back"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMove:
    """One row of `monitor.transitions`; providers as everywhere: `ai_server:1`, None when nobody served."""

    purpose: str
    generation: int
    rule: str
    left: str | None
    to: str
    reason: str
    failure_began_at: datetime | None
    decided_at: datetime
    evidence: tuple[dict[str, Any], ...]

    @property
    def automatic(self) -> bool:
        """Whether the daemon moved by itself."""
        return self.rule in AUTOMATIC

    @property
    def off_a_gone_one(self) -> bool:
        """Whether the one that was left had lost its row or was taken out of service: a fact, no evidence."""
        return "was deleted or disabled" in self.reason or "is in maintenance" in self.reason


async def recorded_moves(connection: Any) -> list[RecordedMove]:
    """Every move, in the order in which they were committed."""
    rows = await connection.fetch(
        "SELECT purpose, generation, rule, from_provider_type, from_provider_id, to_provider_type,"
        " to_provider_id, reason, failure_began_at, decided_at, evidence FROM monitor.transitions ORDER BY id"
    )
    return [
        RecordedMove(
            purpose=row["purpose"],
            generation=row["generation"],
            rule=row["rule"],
            left=_name(row["from_provider_type"], row["from_provider_id"]),
            to=_name(row["to_provider_type"], row["to_provider_id"]) or "",
            reason=row["reason"],
            failure_began_at=row["failure_began_at"],
            decided_at=row["decided_at"],
            evidence=tuple(row["evidence"]),
        )
        for row in rows
    ]


async def check_records(connection: Any) -> list[RecordedMove]:
    """Hold the tables to everything that is true of them at any instant; gives the moves.

    Args:
        connection: one that nothing is under way on; all is read at one instant.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        moves = await recorded_moves(connection)
        each_move_follows_the_one_before(moves)
        for move in moves:
            if move.automatic:
                await its_evidence_is_there_in_full(connection, move)
        await the_state_is_that_of_the_last_move(connection, moves)
        await the_audit_names_each_automatic_move(connection, moves)
        await no_result_is_stored_twice(connection)
    return moves


def each_move_follows_the_one_before(moves: list[RecordedMove]) -> None:
    """Generation + 1 each, from where the one before led."""
    last: dict[str, RecordedMove] = {}
    for move in moves:
        before = last.get(move.purpose)
        assert move.generation == (before.generation if before else 1) + 1, moves
        assert move.left != move.to, move
        if before is not None:
            assert move.left == before.to or (move.left is None and not move.automatic), (before, move)
        last[move.purpose] = move


async def its_evidence_is_there_in_full(connection: Any, move: RecordedMove) -> None:
    """Two pieces or more, each a copy of a result that is stored."""
    ids = [one["id"] for one in move.evidence]
    assert len(set(ids)) == len(ids), move
    assert len(ids) >= (1 if move.off_a_gone_one else 2), move
    stored = {
        row["id"].hex: (row["outcome"], row["provider"])
        for row in await connection.fetch(
            "SELECT id, outcome, concat_ws(':', provider_type, provider_id) AS provider"
            " FROM monitor.results WHERE id = ANY($1::uuid[])",
            ids,
        )
    }
    for one in move.evidence:
        provider = f"{one['provider_type']}:{one['provider_id']}"
        assert stored.get(one["id"]) == (one["outcome"], provider), one
        assert provider in (move.left, move.to), move
        assert (one["outcome"] == "ok") is (provider == move.to), move
    assert any(one["outcome"] == "ok" for one in move.evidence), "whom a purpose is moved onto has passed"


async def the_state_is_that_of_the_last_move(connection: Any, moves: list[RecordedMove]) -> None:
    """Our own state has the last generation and its pointer, as long as the purpose has a row."""
    last = {move.purpose: move for move in moves}
    for row in await connection.fetch(
        "SELECT purpose, generation, provider_type, provider_id FROM monitor.purposes"
    ):
        move = last.get(row["purpose"])
        assert row["generation"] == (move.generation if move else 1), (dict(row), moves)
        if move is not None and row["provider_id"] is not None:
            assert _name(row["provider_type"], row["provider_id"]) == move.to, (dict(row), move)


async def the_audit_names_each_automatic_move(connection: Any, moves: list[RecordedMove]) -> None:
    """One row each, and no other of ours."""
    rows = await connection.fetch(
        "SELECT action, entity_id, changes FROM llm_config_audit"
        " WHERE user_id = 'monitor' AND entity_type = 'active_provider' ORDER BY id"
    )
    audited = [
        (row["action"], row["entity_id"], row["changes"]["generation"], row["changes"]["to"]) for row in rows
    ]
    assert audited == [
        ("failback" if move.rule == "fail_back" else "promote", move.purpose, move.generation, move.to)
        for move in moves
        if move.automatic
    ]


async def no_result_is_stored_twice(connection: Any) -> None:
    """An id stands in one row; a probe in one row too."""
    doubled = await connection.fetchval(
        "SELECT count(*) - least(count(DISTINCT id), count(DISTINCT"
        " (provider_type, provider_id, purpose, kind, started_at))) FROM monitor.results"
    )
    assert doubled == 0


def _name(type_: str | None, id_: int | None) -> str | None:
    return None if type_ is None or id_ is None else f"{type_}:{id_}"
