"""The transaction of an operator's act: locks, what is found, what is written, who is told.

Nothing here depends on a daemon: whoever acts writes what the act means into the database, and the deciding
daemon, now or when there is one again, takes it up from there. Locks are taken in one order, always: the
application's row first, then ours.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from monitor.domain.acts import OPERATOR, Act
from monitor.domain.preference import Pointers, ordered, read_edit
from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.audit import record_audit
from monitor.storage.edits import write_edit
from monitor.storage.listener import CONFIGURATION_CHANNEL
from monitor.storage.purposes import (
    PurposeState,
    columns,
    lock_active,
    lock_purpose,
    read_ref,
    tell_active,
    write_preference,
)
from monitor.storage.queries import QUERIES
from monitor.storage.standing import ProviderStanding, load_standings
from monitor.storage.transitions import Transition, record_transition

LONGEST_USER = 100  # the shorter of the spellings of the application's own columns
LONGEST_REASON = 500
TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class By:
    """Who acts.

    Attributes:
        user_id: who; stands in the audit and in the application's row.
        reason: why, in that person's own words; None when none was given.
        via: `cli`, `api`, `library` or `page`.
        seen: what that person had before the eyes, as `seen_of` names it: what has changed since is not acted
            on; None acts on whatever there is.
    """

    user_id: str
    reason: str | None
    via: str
    seen: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "user_id", _clean(self.user_id, LONGEST_USER) or "unknown")
        object.__setattr__(self, "reason", _clean(self.reason or "", LONGEST_REASON) or None)

    def __str__(self) -> str:
        return f"{self.user_id}: {self.reason}" if self.reason else self.user_id


class ActError(Exception):
    """An act that was not done; nothing has changed. The message names the thing and the mend."""


class ProviderMissing(ActError):
    """It names a provider, or a purpose's row, that does not exist."""


class ProviderDisabled(ActError):
    """It names a provider that is disabled."""


class ActInvalid(ActError):
    """It makes no sense as it was said: a fallback that is the active one, an end that has passed."""


class ActRefused(ActError):
    """It would do harm, or somebody else holds the row; the message says how to have it all the same.

    Attributes:
        problem: what is wrong.
        mend: what to do about it, as a command or a request has it; empty when the problem says it.
    """

    def __init__(self, problem: str, mend: str = "") -> None:
        super().__init__(f"{problem}: {mend}" if mend else problem)
        self.problem = problem
        self.mend = mend


class ActOvertaken(ActError):
    """Somebody, or a rule, changed the thing after the person who acts had looked at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """What an act came to.

    Attributes:
        act: which.
        purpose: whose.
        changed: whether anything did; what was so already is no act, and leaves no trace.
        active: who serves now.
        left: who served before, when somebody else does now.
        fallback: whom the row names as the second.
        generation: of the purpose.
        until: the end of what was begun; None without one.
    """

    act: Act
    purpose: Purpose
    changed: bool
    active: ProviderRef
    left: ProviderRef | None
    fallback: ProviderRef | None
    generation: int
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What an act finds, with both rows locked.

    Attributes:
        purpose: whose.
        now: the database's clock, after every earlier move.
        row: the application's row; None when it was not there.
        state: what we keep; an edit of the row that no daemon has seen is taken up first.
        order: the operator's, without rows that were deleted.
        standings: of everybody named in the row, in the order and in the act.
    """

    purpose: Purpose
    now: datetime
    row: Pointers | None
    state: PurposeState | None
    order: tuple[ProviderRef, ...]
    standings: Mapping[ProviderRef, ProviderStanding]

    @property
    def names(self) -> dict[ProviderRef, str]:
        """The operator's names."""
        return {ref: one.name for ref, one in self.standings.items()}

    def called(self, ref: ProviderRef) -> str:
        """A provider in a message."""
        one = self.standings.get(ref)
        return f"{ref} ({one.name})" if one and one.name else str(ref)

    def row_or_refuse(self) -> Pointers:
        """The application's row.

        Raises:
            ProviderMissing: there is none, or it names nobody.
        """
        if self.row is None:
            raise ProviderMissing(f"No active provider for {self.purpose}")
        return self.row

    def check_usable(self, ref: ProviderRef) -> None:
        """Whether a provider may be named at all.

        Raises:
            ProviderMissing: it has no row.
            ProviderDisabled: it is disabled.
        """
        one = self.standings.get(ref)
        if one is None:
            raise ProviderMissing(f"{ref}: there is no such row")
        if not one.enabled:
            raise ProviderDisabled(f"{self.called(ref)} is disabled: enable it first")

    def is_fit(self, ref: ProviderRef) -> bool:
        """Whether a purpose might be moved onto it by itself, as far as is recorded."""
        one = self.standings.get(ref)
        if one is None or not one.enabled or one.unfit(self.purpose) is not None:
            return False
        return self.purpose is not Purpose.EMBEDDINGS or self.same_space(ref) is True

    def same_space(self, ref: ProviderRef) -> bool | None:
        """Whether its vectors may stand beside the preferred one's; None when that is not known."""
        first = self.order[0] if self.order else (self.row.active if self.row else None)
        if first is None or first == ref:
            return True
        one, two = self.standings.get(first), self.standings.get(ref)
        return None if one is None or two is None else one.same_space(two)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an act wants to stand there afterwards.

    Attributes:
        act: which.
        row: the application's row.
        state: ours; its numbers and instants are filled in here.
        order: the operator's.
        detail: for the record and the audit.
        until: the end of what was begun.
    """

    act: Act
    row: Pointers
    state: PurposeState
    order: tuple[ProviderRef, ...]
    detail: Mapping[str, object]
    until: datetime | None = None


@asynccontextmanager
async def begin_act(connection: Any, about: str) -> AsyncIterator[None]:
    """One transaction, that waits for other people's locks for a few seconds only.

    Args:
        connection: any, outside of a transaction.
        about: what is locked, for the message.

    Raises:
        ActRefused: somebody else holds the row.
    """
    try:
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(QUERIES["bound_act"])
            yield
    except asyncpg.LockNotAvailableError as error:
        raise ActRefused(
            f"{about} is locked by another transaction, and was not changed: end that one, or try again"
        ) from error


def seen_of(row: Pointers | None, state: PurposeState | None) -> str:
    """A word for a purpose as it stands: another one after every act, move and edit."""
    numbers = f"{state.generation}.{state.act}" if state else "-"
    return f"{numbers}.{row.active}.{row.fallback}" if row else f"{numbers}.-"


def check_seen(by: By, seen: str, what: str) -> None:
    """Whether a thing still is as the person who acts has seen it.

    Raises:
        ActOvertaken: it is not.
    """
    if by.seen is not None and by.seen != seen:
        raise ActOvertaken(f"{what} has changed since: look at it as it is now, and act again if it is right")


async def look(
    connection: Any, purpose: Purpose, named: Sequence[ProviderRef | None], by: By | None = None
) -> Scene:
    """Lock a purpose's rows and read everything that an act may ask for.

    Args:
        connection: within `begin_act`.
        purpose: whose.
        named: whom the act names.
        by: who acts, where it is to be on what was seen.

    Raises:
        ActOvertaken: it is not as that person has seen it.
    """
    row = await lock_active(connection, purpose)
    state = await lock_purpose(connection, purpose)
    if by is not None:
        check_seen(by, seen_of(row, state), str(purpose))
    now: datetime = await connection.fetchval(QUERIES["read_clock"])
    if state is not None and state.since is not None:
        # Moves stay in their order although somebody has set the database's clock back.
        now = max(now, state.since + TICK)
    places = await connection.fetch(QUERIES["read_order"], str(purpose))
    order = ordered(read_ref(one["provider_type"], one["provider_id"]) for one in places)
    pointers = (row.active, row.fallback) if row else ()
    standings = await load_standings(connection, purpose, ordered((*pointers, *order, *named)))
    scene = Scene(
        purpose=purpose,
        now=now,
        row=row,
        state=state,
        order=tuple(ref for ref in order if ref in standings),
        standings=standings,
    )
    return await _take_edit(connection, scene)


async def _take_edit(connection: Any, scene: Scene) -> Scene:
    """Take up an edit of the row that no daemon has seen: it came before the act."""
    row, state = scene.row, scene.state
    edit = read_edit(state.seen if state else None, row, scene.order) if row else None
    if row is None or edit is None:
        return scene
    act: int = await connection.fetchval(QUERIES["next_act"])
    await write_edit(
        connection, scene.purpose, row, edit, state, scene.names, scene.now, act=act, instance=None
    )
    known = await lock_purpose(connection, scene.purpose)
    return replace(scene, state=known, order=edit.preference, now=scene.now + TICK)


async def write(connection: Any, scene: Scene, wanted: Written, by: By, *, is_new: bool = False) -> Acted:
    """Write what an act means, and tell whoever listens; what is so already is left alone.

    Args:
        connection: within `begin_act`.
        scene: as it was looked at.
        wanted: what it means.
        by: who acts.
        is_new: the purpose's row has just been made by this act.
    """
    row, state = scene.row_or_refuse(), wanted.state
    active, before = wanted.row.active, scene.state
    moves = active != row.active
    result = Acted(
        act=wanted.act,
        purpose=scene.purpose,
        changed=is_new or (wanted.row, state, wanted.order) != (row, before, scene.order),
        active=active,
        left=row.active if moves else None,
        fallback=wanted.row.fallback,
        generation=state.generation + moves,
        until=wanted.until,
    )
    if not result.changed:
        return result
    number = await record_act(connection, wanted.act, by, scene.now, wanted.detail, purpose=scene.purpose)
    if wanted.row != row:
        await _write_row(connection, scene.purpose, wanted.row, by)
    if wanted.order != scene.order:
        await write_preference(connection, scene.purpose, wanted.order)
    rule = OPERATOR if wanted.act is Act.CHOOSE else str(wanted.act)
    reordered = wanted.act is Act.CANDIDATES
    await _write_state(
        connection,
        replace(
            state,
            seen=wanted.row,
            generation=result.generation,
            since=scene.now if moves else state.since,
            rule=rule if moves or is_new else state.rule,
            act=number,
            chosen_at=scene.now if _chooses(wanted.act) else state.chosen_at,
            chosen_act=number if _chooses(wanted.act) else state.chosen_act,
            ordered_at=scene.now if reordered else state.ordered_at,
            ordered_act=number if reordered else state.ordered_act,
            stranded_since=None if moves else state.stranded_since,
        ),
        scene.now,
        by,
    )
    if moves:
        await record_transition(
            connection,
            Transition(
                purpose=scene.purpose,
                generation=result.generation,
                rule=rule,
                left=row.active,
                onto=active,
                reason=str(by),
                decided_at=scene.now,
                instance=None,
            ),
            scene.names,
        )
    action = "update" if wanted.act is Act.CHOOSE else str(wanted.act)
    await _audit(connection, scene, "create" if is_new else action, wanted, result, by)
    await tell_configuration(connection, f"purposes:{scene.purpose}")
    if wanted.row != row or is_new:
        await tell_active(connection, scene.purpose, result.generation, active)
    return result


async def record_act(
    connection: Any,
    act: Act,
    by: By,
    now: datetime,
    detail: Mapping[str, object],
    *,
    purpose: Purpose | None = None,
    provider: ProviderRef | None = None,
) -> int:
    """Keep an act in our own record; its number."""
    number: int = await connection.fetchval(
        QUERIES["record_act"],
        now,
        str(act),
        str(purpose) if purpose else None,
        *columns(provider),
        by.user_id,
        by.reason,
        by.via,
        json.dumps(dict(detail)),
    )
    return number


async def tell_configuration(connection: Any, payload: str) -> None:
    """Let the deciding daemon read at once."""
    await connection.execute(QUERIES["notify"], CONFIGURATION_CHANNEL, payload)


def end_of(until: datetime | timedelta | None, now: datetime) -> datetime | None:
    """An end as an operator says it: an instant, or how long from now by the database's clock.

    Raises:
        ActInvalid: it lies in the past, or beyond the calendar.
    """
    if until is None:
        return None
    try:
        end = now + until if isinstance(until, timedelta) else until
    except OverflowError:
        raise ActInvalid("the end lies beyond the calendar: name none for no end") from None
    end = in_utc(end, "the end")
    if end <= now:
        raise ActInvalid(f"the end {end:%Y-%m-%d %H:%M:%S} UTC has passed: name a later one")
    return end


def in_utc(moment: datetime, what: str) -> datetime:
    """An instant as an operator says it, in UTC.

    Raises:
        ActInvalid: it has no zone, or lies beyond the calendar.
    """
    if moment.tzinfo is None:
        raise ActInvalid(f"{what} {moment.isoformat()} has no zone: write it as in 2026-03-01T12:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ActInvalid(f"{what} lies beyond the calendar") from None


def _chooses(act: Act) -> bool:
    return act in (Act.CHOOSE, Act.PROMOTE, Act.PIN)


async def _write_row(connection: Any, purpose: Purpose, row: Pointers, by: By) -> None:
    await connection.execute(
        QUERIES["write_active"], str(purpose), *columns(row.active), *columns(row.fallback), by.user_id
    )


async def _write_state(connection: Any, state: PurposeState, now: datetime, by: By) -> None:
    seen = state.seen
    await connection.execute(
        QUERIES["write_act"],
        str(state.purpose),
        state.act,
        state.generation,
        *columns(seen.active if seen else None),
        *columns(seen.fallback if seen else None),
        state.since,
        state.rule,
        state.chosen_at,
        state.chosen_act,
        state.ordered_at,
        state.ordered_act,
        state.stranded_since,
        state.paused,
        by.user_id,
        *columns(state.pinned),
        state.pinned_until,
        state.held,
        state.held_until,
        now,
    )


async def _audit(connection: Any, scene: Scene, action: str, wanted: Written, result: Acted, by: By) -> None:
    await record_audit(
        connection,
        action=action,
        entity_type="active_provider",
        entity_id=str(scene.purpose),
        user_id=by.user_id,
        changes={
            "purpose": str(scene.purpose),
            "act": str(wanted.act),
            **wanted.detail,
            "generation": result.generation,
            "reason": by.reason,
            "via": by.via,
        },
    )


def _clean(text: str, most: int) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:most]
