"""What the page reads seldom: for how long it is kept, and of whom."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from monitor.domain.provider import ProviderRef
from monitor.storage.page import PAST_EVERY, READINGS_EVERY, Kept
from monitor.storage.status import Status, read_status
from tests.application_rows import ApplicationRows

MOMENT = timedelta(seconds=1)


async def told_credit(connection: Any, at: datetime, usd: float) -> None:
    """A light answer of the first server that told what is left on its account."""
    await connection.execute(
        "SELECT monitor.ensure_partition(($1::timestamptz AT TIME ZONE 'UTC')::date)", at
    )
    await connection.execute(
        "INSERT INTO monitor.results (id, started_at, ended_at, provider_type, provider_id, purpose, kind,"
        " outcome, fingerprint, readings)"
        " VALUES (gen_random_uuid(), $1, $1, 'ai_server', 1, 'chat', 'light', 'ok', 'f',"
        " jsonb_build_object('credit_remaining_usd', $2::float))",
        at,
        usd,
    )


async def one_server(connection: Any) -> tuple[Status, ProviderRef]:
    await ApplicationRows(connection).add_server("gpu-1", "vllm", "http://10.0.0.5:8000", use_for_chat=True)
    await connection.execute(
        "INSERT INTO monitor.healths (provider_type, provider_id, purpose, fingerprint, state, eligible,"
        " health, application_status, warnings)"
        " VALUES ('ai_server', 1, 'chat', 'f', 'up', true, '{}', 'healthy', '{}')"
    )
    status = await read_status(connection)
    (only,) = status.providers
    return status, only.ref


async def test_the_past_is_read_again_after_its_time_and_by_a_clock_that_was_set_back(
    connection: Any,
) -> None:
    status, ref = await one_server(connection)
    kept, now = Kept(), status.as_of
    await told_credit(connection, now - MOMENT, 9.0)
    drawn, told = await kept.past(connection, now, status.providers)
    assert (drawn.as_of, told[ref].credit_remaining_usd) == (now, 9.0)
    await told_credit(connection, now, 3.0)
    again, told = await kept.past(connection, now + PAST_EVERY - MOMENT, status.providers)
    assert again is drawn
    assert told[ref].credit_remaining_usd == 9.0
    for later in (now + PAST_EVERY, now - MOMENT):
        drawn, told = await kept.past(connection, later, status.providers)
        assert (drawn.as_of, told[ref].credit_remaining_usd) == (later, 3.0)


async def test_the_past_of_others_is_read_at_once(connection: Any) -> None:
    status, _ = await one_server(connection)
    kept, now = Kept(), status.as_of
    of_it, _ = await kept.past(connection, now, status.providers)
    of_none, _ = await kept.past(connection, now + MOMENT, ())
    assert of_none.as_of == now + MOMENT
    assert (await kept.past(connection, now + MOMENT, status.providers))[0] is of_it


async def test_what_everybody_told_is_looked_through_once_a_minute(connection: Any) -> None:
    status, ref = await one_server(connection)
    kept, now = Kept(), status.as_of
    await told_credit(connection, now - MOMENT, 9.0)
    assert (await kept.told(connection, status))[ref].credit_remaining_usd == 9.0
    await told_credit(connection, now, 3.0)
    left = {}
    for later in (READINGS_EVERY - MOMENT, READINGS_EVERY):
        status = replace(status, as_of=now + later)
        left[later] = (await kept.told(connection, status))[ref].credit_remaining_usd
    assert left == {READINGS_EVERY - MOMENT: 9.0, READINGS_EVERY: 3.0}
