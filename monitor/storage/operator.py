"""An operator's hand: each act one transaction, by whichever process, with its audit row.

All of them want a connection outside of a transaction, of whichever owner: one of an application's pool, with
JSON codecs of its own, will do.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from monitor.domain.acts import Act
from monitor.domain.preference import Pointers, next_after, ordered, read_edit
from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.acting import (
    Acted,
    ActError,
    ActInvalid,
    ActOvertaken,
    ActRefused,
    By,
    ProviderDisabled,
    ProviderMissing,
    Scene,
    Written,
    begin_act,
    end_of,
    look,
    write,
)
from monitor.storage.maintenance import MaintenanceSet, end_maintenance, set_maintenance
from monitor.storage.purposes import PurposeState, columns
from monitor.storage.queries import QUERIES

__all__ = [
    "KEEP",
    "ActError",
    "ActInvalid",
    "ActOvertaken",
    "ActRefused",
    "Acted",
    "By",
    "Keep",
    "MaintenanceSet",
    "ProviderDisabled",
    "ProviderMissing",
    "choose",
    "end_maintenance",
    "pause",
    "pin",
    "promote",
    "resume",
    "set_candidates",
    "set_maintenance",
    "unpin",
]


class Keep(Enum):
    """Leave a thing as it is."""

    KEEP = "keep"


KEEP = Keep.KEEP


async def choose(
    connection: Any,
    purpose: Purpose,
    active: ProviderRef,
    fallback: ProviderRef | Keep | None,
    by: By,
    *,
    force: bool = False,
) -> Acted:
    """Name who serves from now on: a new preference, active at once; what stands there changes nothing.

    Args:
        connection: any, outside of a transaction.
        purpose: whose; its row is made when there is none.
        active: who serves.
        fallback: the second one; None names nobody, KEEP leaves it (and makes the one that is left the second
            when it would be the active one itself).
        by: who acts.
        force: embeddings may change their vector space.

    Raises:
        ProviderMissing: one of the two has no row.
        ProviderDisabled: one of the two is disabled.
        ActInvalid: both are the same.
        ActRefused: the vectors of the two would not stand in one index; or the row is locked.
    """
    named = (active,) if isinstance(fallback, Keep) else (active, fallback)
    async with begin_act(connection, f"the row of {purpose}"):
        scene = await look(connection, purpose, named, by)
        second = _second(scene, active, fallback)
        scene.check_usable(active)
        if second == active:
            raise ActInvalid(f"{scene.called(active)} can't be its own fallback: name another one, or none")
        if second is not None and not isinstance(fallback, Keep):
            scene.check_usable(second)
        row = Pointers(active=active, fallback=second)
        if scene.row is None:
            return await _create(connection, scene, row, by)
        if row == scene.row:
            return await write(connection, scene, _unchanged(scene, Act.CHOOSE), by)
        if purpose is Purpose.EMBEDDINGS and active != scene.row.active and scene.same_space(active) is False:
            _refuse_space(scene, active, force=force)
        edit = read_edit(scene.row, row, scene.order)
        order = edit.preference if edit else scene.order
        state = _known(scene)
        if active != scene.row.active:
            state = replace(state, pinned=None, pinned_until=None, held=False, held_until=None)
        return await write(
            connection,
            scene,
            Written(
                act=Act.CHOOSE,
                row=row,
                state=state,
                order=order,
                detail=_pair(row),
            ),
            by,
        )


async def promote(
    connection: Any,
    purpose: Purpose,
    to: ProviderRef,
    until: datetime | timedelta | None,
    by: By,
    *,
    force: bool = False,
) -> Acted:
    """Move a purpose now; it does not return by itself until `unpin`, or until the end.

    Should the promoted one fail, the purpose fails over as ever. From the first of the order there is nobody
    to return to, so nothing is held then.

    Args:
        connection: any, outside of a transaction.
        purpose: whose.
        to: onto whom.
        until: when a return is free again: an instant, or how long from now; None for not before `unpin`.
        by: who acts.
        force: also onto one that is not fit, or whose vectors are of another space.

    Raises:
        ProviderMissing: it has no row, or the purpose has none.
        ProviderDisabled: it is disabled.
        ActInvalid: the end has passed.
        ActRefused: it is not fit to serve and `force` is not said; or the row is locked.
    """
    return await _move(connection, Act.PROMOTE, purpose, to, until, by, force=force)


async def pin(
    connection: Any,
    purpose: Purpose,
    to: ProviderRef,
    until: datetime | timedelta | None,
    by: By,
    *,
    force: bool = False,
) -> Acted:
    """Move a purpose now, and keep it there whatever happens until `unpin`, or until the end.

    Arguments and errors are those of `promote`.
    """
    return await _move(connection, Act.PIN, purpose, to, until, by, force=force)


async def unpin(connection: Any, purpose: Purpose, by: By) -> Acted:
    """End a pin, and what holds the return after a `promote`: the rules decide again.

    Raises:
        ProviderMissing: the purpose has no row.
        ActRefused: the row is locked.
    """
    async with begin_act(connection, f"the row of {purpose}"):
        scene = await look(connection, purpose, (), by)
        wanted = _unchanged(scene, Act.UNPIN)
        state = replace(wanted.state, pinned=None, pinned_until=None, held=False, held_until=None)
        return await write(connection, scene, replace(wanted, state=state), by)


async def pause(connection: Any, purpose: Purpose, by: By) -> Acted:
    """Let nothing move by itself until `resume`; errors as of `unpin`."""
    async with begin_act(connection, f"the row of {purpose}"):
        scene = await look(connection, purpose, (), by)
        wanted = _unchanged(scene, Act.PAUSE)
        return await write(connection, scene, replace(wanted, state=replace(wanted.state, paused=True)), by)


async def resume(connection: Any, purpose: Purpose, by: By) -> Acted:
    """End a pause; errors as of `unpin`."""
    async with begin_act(connection, f"the row of {purpose}"):
        scene = await look(connection, purpose, (), by)
        wanted = _unchanged(scene, Act.RESUME)
        return await write(connection, scene, replace(wanted, state=replace(wanted.state, paused=False)), by)


async def set_candidates(
    connection: Any, purpose: Purpose, refs: Sequence[ProviderRef], by: By, *, force: bool = False
) -> Acted:
    """Set a purpose's order. Who serves stays, and changes only by the rules.

    Args:
        connection: any, outside of a transaction.
        purpose: whose.
        refs: best first.
        by: who acts.
        force: for embeddings, also when the first is not known to share the vector space of the one before.

    Raises:
        ProviderMissing: one has no row, or the purpose has none.
        ProviderDisabled: one is disabled.
        ActInvalid: nobody is named, or somebody twice.
        ActRefused: the vectors would change their space and `force` is not said; or the row is locked.
    """
    async with begin_act(connection, f"the row of {purpose}"):
        scene = await look(connection, purpose, refs, by)
        row = scene.row_or_refuse()
        order = ordered(refs)
        if not order:
            raise ActInvalid(f"nobody is named: name the candidates of {purpose}, best first")
        if len(order) != len(refs):
            raise ActInvalid("somebody is named twice: name each candidate once, best first")
        for ref in order:
            scene.check_usable(ref)
        if purpose is Purpose.EMBEDDINGS and scene.same_space(order[0]) is not True:
            _refuse_space(scene, order[0], force=force)
        wanted = _unchanged(scene, Act.CANDIDATES)
        if order == scene.order:
            return await write(connection, scene, wanted, by)
        again = replace(scene, order=order)
        # Whoever stands in the columns stays there only where the new order has nobody better.
        second = next_after(order, row.active, row.fallback, again.is_fit)
        return await write(
            connection,
            scene,
            replace(
                wanted,
                row=Pointers(active=row.active, fallback=second),
                order=order,
                detail={"candidates": [str(ref) for ref in order]},
            ),
            by,
        )


async def _move(
    connection: Any,
    act: Act,
    purpose: Purpose,
    to: ProviderRef,
    until: datetime | timedelta | None,
    by: By,
    *,
    force: bool,
) -> Acted:
    async with begin_act(connection, f"the row of {purpose}"):
        scene = await look(connection, purpose, (to,), by)
        row = scene.row_or_refuse()
        end = end_of(until, scene.now)
        scene.check_usable(to)
        _check_fit(scene, act, to, force=force)
        fallback = row.fallback
        if to != row.active:
            left = row.active if row.active in scene.standings else None
            fallback = next_after(scene.order, to, left, scene.is_fit)
        state = _known(scene)
        if act is Act.PIN:
            state = replace(state, pinned=to, pinned_until=end, held=False, held_until=None)
        else:
            holds = scene.order[:1] != (to,)
            state = replace(
                state, pinned=None, pinned_until=None, held=holds, held_until=end if holds else None
            )
        pair = Pointers(active=to, fallback=fallback)
        return await write(
            connection,
            scene,
            Written(
                act=act,
                row=pair,
                state=state,
                order=scene.order,
                detail={
                    "from": str(row.active),
                    **_pair(pair),
                    "until": end.isoformat() if end else None,
                    "force": force,
                },
                until=end,
            ),
            by,
        )


def _check_fit(scene: Scene, act: Act, to: ProviderRef, *, force: bool) -> None:
    if force:
        return
    row = scene.row_or_refuse()
    if to != row.active and scene.purpose is Purpose.EMBEDDINGS and scene.same_space(to) is not True:
        _refuse_space(scene, to, force=force)
    unfit = scene.standings[to].unfit(scene.purpose)
    if unfit is not None:
        raise ActRefused(
            f"{scene.called(to)} {unfit}",
            f'mend it first, or {act} it all the same with --force ("force": true)',
        )


def _refuse_space(scene: Scene, to: ProviderRef, *, force: bool) -> None:
    if force:
        return
    known = scene.same_space(to) is False
    what = "has another vector space than" if known else "is not known to share the vector space of"
    first = scene.order[0] if scene.order else scene.row_or_refuse().active
    raise ActRefused(
        f"{scene.called(to)} {what} {scene.called(first)}, and vectors of both in one index destroy the "
        "search",
        'set metadata.embedding_space on both, or say --force ("force": true) and embed all anew',
    )


def _second(scene: Scene, active: ProviderRef, fallback: ProviderRef | Keep | None) -> ProviderRef | None:
    if not isinstance(fallback, Keep):
        return fallback
    row = scene.row
    if row is None:
        return None
    if row.fallback != active:
        return row.fallback
    # Who was the second serves now: the one that is left takes its place, if its row still stands.
    return row.active if row.active in scene.standings else None


async def _create(connection: Any, scene: Scene, row: Pointers, by: By) -> Acted:
    """A purpose's first row, taken up by us in the same breath."""
    # No row is there to hold against whoever deletes a provider at this moment; and one may just have gone.
    await connection.execute(QUERIES["lock_providers"])
    named = [ref for ref in (row.active, row.fallback) if ref is not None]
    now = await look(connection, scene.purpose, named)
    for ref in named:
        now.check_usable(ref)
    await connection.execute(
        QUERIES["create_active"], str(scene.purpose), *columns(row.active), *columns(row.fallback), by.user_id
    )
    again = await look(connection, scene.purpose, ())
    if again.row != row:
        raise ActRefused(f"somebody else has just given {scene.purpose} its row: look, and try again")
    wanted = replace(_unchanged(again, Act.CHOOSE), detail={**_pair(row), "first": True})
    return await write(connection, again, wanted, by, is_new=True)


def _known(scene: Scene) -> PurposeState:
    if scene.state is None:
        raise AssertionError("a row that stands has been taken up")
    return scene.state


def _unchanged(scene: Scene, act: Act) -> Written:
    return Written(act=act, row=scene.row_or_refuse(), state=_known(scene), order=scene.order, detail={})


def _pair(row: Pointers) -> dict[str, object]:
    return {"provider": str(row.active), "fallback": str(row.fallback) if row.fallback else None}
