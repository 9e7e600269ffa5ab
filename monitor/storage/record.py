"""All that is recorded of a purpose over a span of time, read in one snapshot."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.domain.acts import ActRecord
from monitor.domain.health import Health
from monitor.domain.journal import Entry
from monitor.domain.outcome import ProbeResult, ResultId
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.timeline import Turn
from monitor.storage.columns import provider_in
from monitor.storage.healths import load_healths
from monitor.storage.journal import load_entries, load_judged
from monitor.storage.purposes import AUTOMATIC, read_ref
from monitor.storage.queries import QUERIES


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMove:
    """One committed move.

    Attributes:
        turn: the move itself.
        generation: of the purpose, from then on.
        left_name: the name of the one that was left, as it was then.
        onto_name: the same of the other one.
        policy: in force then, durations in seconds; empty for an operator's move.
        evidence: copies of the results it rests on, as JSON has them, oldest first, and of what was reported.
    """

    turn: Turn
    generation: int
    left_name: str | None
    onto_name: str | None
    policy: Mapping[str, Any]
    evidence: tuple[Mapping[str, Any], ...]

    @property
    def automatic(self) -> bool:
        """Whether it was ours."""
        return self.turn.rule in set(AUTOMATIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is recorded.

    Attributes:
        as_of: the database's clock.
        until: the end of the span.
        entries: of the journal, from a whole one at or before the span's beginning on, or else the first.
        results: deep ones of all candidates since, in the order of judging.
        moves: since the span's beginning or the first entry, the last one before included, oldest first.
        names: the operator's names, those of deleted providers as far as moves name them.
        healths: what is believed now.
    """

    as_of: datetime
    until: datetime
    entries: tuple[Entry, ...]
    results: tuple[ProbeResult, ...]
    moves: tuple[RecordedMove, ...]
    names: Mapping[ProviderRef, str]
    healths: Mapping[ProviderRef, Health]

    def automatic_since(self, since: datetime) -> list[RecordedMove]:
        """Our own moves since an instant."""
        return [one for one in self.moves if one.automatic and one.turn.at >= since]


async def read_clock(connection: Any) -> datetime:
    """The database's clock, UTC."""
    now: datetime = await connection.fetchval(QUERIES["read_clock"])
    return now


async def read_record(
    connection: Any, purpose: Purpose, since: datetime, until: datetime | None = None
) -> Record:
    """Read everything that a replay of a span wants.

    Args:
        connection: outside of a transaction.
        purpose: whose.
        since: the span's beginning.
        until: its end; None for now.

    Raises:
        ValidationError: a later version wrote the journal.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        as_of = await read_clock(connection)
        end = min(until or as_of, as_of)
        entries = [one for one in await load_entries(connection, purpose, since) if one.at <= end]
        begin = min([since, *(one.at for one in entries[:1])])
        moves = await read_moves(connection, purpose, begin, end)
        refs = {one.ref for entry in entries if entry.facts for one in entry.facts.standings}
        results = await load_judged(connection, purpose, sorted(refs), entries[0].at, end) if entries else []
        healths = await load_healths(connection)
        names = await read_names(connection, moves)
    return Record(
        as_of=as_of,
        until=end,
        entries=tuple(entries),
        results=tuple(results),
        moves=tuple(moves),
        names=names,
        healths={id_.provider: health for id_, health in healths.items() if id_.purpose is purpose},
    )


async def read_moves(
    connection: Any, purpose: Purpose, since: datetime, until: datetime
) -> list[RecordedMove]:
    """Every move of a span and the last one before it, oldest first."""
    rows = await connection.fetch(QUERIES["list_transitions"], str(purpose), since, until)
    return [
        RecordedMove(
            turn=Turn(
                at=row["decided_at"],
                rule=row["rule"],
                left=read_ref(row["from_provider_type"], row["from_provider_id"]),
                onto=read_ref(row["to_provider_type"], row["to_provider_id"]),
                reason=row["reason"],
                evidence=tuple(ResultId(one["id"]) for one in row["evidence"] if "id" in one),
                failure_began_at=row["failure_began_at"],
            ),
            generation=row["generation"],
            left_name=row["from_name"],
            onto_name=row["to_name"],
            policy=row["policy"],
            evidence=tuple(row["evidence"]),
        )
        for row in rows
    ]


async def read_acts(connection: Any, purpose: Purpose, since: datetime, until: datetime) -> list[ActRecord]:
    """What operators did by command and API that concerns a purpose, oldest first."""
    return [
        ActRecord(
            at=row["at"],
            act=row["act"],
            provider=read_ref(row["provider_type"], row["provider_id"]),
            by=": ".join(one for one in (row["user_id"], row["reason"]) if one),
            detail=json.loads(row["detail"]),
        )
        for row in await connection.fetch(QUERIES["list_acts"], str(purpose), since, until)
    ]


async def read_names(connection: Any, moves: Sequence[RecordedMove]) -> dict[ProviderRef, str]:
    """The operator's names; those of deleted providers as far as moves name them."""
    return names_in(moves) | {
        provider_in(row): row["name"] for row in await connection.fetch(QUERIES["provider_names"])
    }


def names_in(moves: Sequence[RecordedMove]) -> dict[ProviderRef, str]:
    """The names as moves recorded them, the last ones where they changed."""
    pairs = [
        pair for one in moves for pair in ((one.turn.left, one.left_name), (one.turn.onto, one.onto_name))
    ]
    return {ref: name for ref, name in pairs if ref is not None and name is not None}
