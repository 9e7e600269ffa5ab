"""What operators write into the application's own row, taken up as what they want."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from monitor.domain.preference import Edit, Pointers
from monitor.domain.provider import ProviderRef, Purpose
from monitor.storage.purposes import (
    ADOPTED,
    OPERATOR,
    PurposeState,
    columns,
    lock_active,
    lock_purpose,
    write_preference,
)
from monitor.storage.queries import QUERIES
from monitor.storage.transitions import Transition, record_transition


async def adopt_edit(
    connection: Any,
    purpose: Purpose,
    row: Pointers,
    edit: Edit,
    state: PurposeState | None,
    names: dict[ProviderRef, str],
    now: datetime,
    instance: str,
) -> bool:
    """Take up what an operator wrote: its order, and a new generation when it names another one to serve.

    Args:
        connection: the leader's.
        purpose: whose row it is.
        row: what was read there.
        edit: what it means.
        state: what we knew before; None when the purpose is new to us.
        names: the operator's names, for the record.
        now: UTC; evidence from before it no longer counts.
        instance: this daemon.

    Returns:
        False when the row has changed again meanwhile: read it anew.
    """
    async with connection.transaction():
        if await lock_active(connection, purpose) != row:
            return False
        found = await lock_purpose(connection, purpose)
        if (found.act if found else None) != (state.act if state else None):
            return False
        last: int = await connection.fetchval(QUERIES["last_act"])
        await write_edit(connection, purpose, row, edit, state, names, now, act=last, instance=instance)
    return True


async def write_edit(
    connection: Any,
    purpose: Purpose,
    row: Pointers,
    edit: Edit,
    state: PurposeState | None,
    names: Mapping[ProviderRef, str],
    now: datetime,
    *,
    act: int,
    instance: str | None,
) -> None:
    """Write down what an operator's edit means; within a transaction that has locked both rows.

    Args:
        connection: any.
        purpose: whose row it is.
        row: what stands there.
        edit: what it means.
        state: what we knew before; None when the purpose is new to us.
        names: the operator's names, for the record.
        now: UTC.
        act: the last act before it.
        instance: the deciding daemon that takes it up; None for whoever acts without being one.
    """
    rule = ADOPTED if state is None else OPERATOR
    generation: int = await connection.fetchval(
        QUERIES["adopt_purpose"],
        str(purpose),
        *columns(row.active),
        *columns(row.fallback),
        now,
        rule,
        edit.chosen,
        act,
        instance is not None,
    )
    await write_preference(connection, purpose, edit.preference)
    if edit.chosen and state is not None:
        left = state.seen.active if state.seen else None
        await record_transition(
            connection,
            Transition(
                purpose=purpose,
                generation=generation,
                rule=rule,
                left=left,
                onto=row.active,
                reason="an operator chose who serves",
                decided_at=now,
                instance=instance,
            ),
            names,
        )
