"""A month that never was: sums by the hour and the day, two days of single results, some moves."""

from typing import Any

DAYS = 30
HOURS = DAYS * 24
RAW_DAYS = 2
RAW_SECONDS = 300
MOVES = 20
MOVE_HOURS = DAYS * 24 // (MOVES + 1)

# An hour has twelve deep probes, as a standby's has. Their latencies lie around 0.1 to 0.5 s, by the target.
_BUCKET = "(74 + target.id % 16 + extract(hour FROM at)::int % 3)"
_HISTOGRAM = f"ARRAY[{_BUCKET}, 3, {_BUCKET} + 1, 5, {_BUCKET} + 2, 2, {_BUCKET} + 4, 1, {_BUCKET} + 9, 1]"
_COUNTS = """CASE WHEN (target.id + extract(day FROM at)::int) % 97 = 0
    THEN '{"ok": 11, "timeout": 1}'::jsonb ELSE '{"ok": 12}'::jsonb END"""
_TODAY = "(now() AT TIME ZONE 'UTC')::date"
_ALL_MINUTES = (1 << 60) - 1

STATEMENTS = (
    f"""INSERT INTO monitor.hours
        (hour, provider_type, provider_id, purpose, kind, counts, latency, ttft,
         tokens_in, tokens_out, cost_usd)
    SELECT at, 'ai_server', target.id, 'chat', 'deep', {_COUNTS}, {_HISTOGRAM}, {_HISTOGRAM}, 120, 60, 0
    FROM ai_servers AS target, generate_series(
        date_trunc('hour', now()) - interval '{DAYS} days', date_trunc('hour', now()) - interval '1 hour',
        interval '1 hour') AS at""",
    f"""INSERT INTO monitor.days
        (day, provider_type, provider_id, purpose, kind, counts, latency, ttft,
         tokens_in, tokens_out, cost_usd)
    SELECT at::date, 'ai_server', target.id, 'chat', 'deep', {_COUNTS}, {_HISTOGRAM}, {_HISTOGRAM},
           2880, 1440, 0
    FROM ai_servers AS target, generate_series(
        {_TODAY} - {DAYS}, {_TODAY} - 1, interval '1 day') AS at""",
    f"""INSERT INTO monitor.uptime_hours
        (hour, provider_type, provider_id, purpose, passed_minutes, up_minutes, passed, failed,
         reach, carried, up_before, down_before, passed_before, failed_before)
    SELECT date_trunc('hour', now()) + (number - {HOURS}) * interval '1 hour', 'ai_server', target.id, 'chat',
           {_ALL_MINUTES}, {_ALL_MINUTES}, 12, 0, 15, 15, number * 60, 0, number * 12, 0
    FROM ai_servers AS target, generate_series(0, {HOURS} - 1) AS number""",
    f"""INSERT INTO monitor.totals (provider_type, provider_id, purpose, up, down, passed, failed)
    SELECT 'ai_server', target.id, 'chat', {HOURS} * 60, 0, {HOURS} * 12, 0
    FROM ai_servers AS target""",
    f"""INSERT INTO monitor.uptime_days (day, provider_type, provider_id, purpose, up, down, passed, failed)
    SELECT at::date, 'ai_server', target.id, 'chat', 1439, 1, 287, 1
    FROM ai_servers AS target, generate_series(
        {_TODAY} - {DAYS}, {_TODAY} - 1, interval '1 day') AS at""",
    f"""SELECT monitor.ensure_partition({_TODAY} - ago)
    FROM generate_series(0, {RAW_DAYS}) AS ago""",
    f"""INSERT INTO monitor.results
        (id, started_at, ended_at, provider_type, provider_id, purpose, kind, outcome, fingerprint, model,
         latency_seconds, ttft_seconds, tokens_in, tokens_out, reach_seconds)
    SELECT gen_random_uuid(), at, at + interval '0.3 s', 'ai_server', target.id, 'chat', 'deep', 'ok', 'past',
           'm1', 0.1 + (target.id % 16) * 0.02, 0.05, 10, 5, 900
    FROM ai_servers AS target, generate_series(
        now() - interval '{RAW_DAYS} days', now() - interval '10 minutes',
        interval '{RAW_SECONDS} seconds') AS at""",
    f"""INSERT INTO monitor.transitions
        (purpose, generation, rule, from_provider_type, from_provider_id, from_name,
         to_provider_type, to_provider_id, to_name, reason, decided_at, evidence, policy)
    SELECT 'chat', -number, CASE WHEN number % 2 = 0 THEN 'fail_over' ELSE 'fail_back' END,
           'ai_server', 1 + number % 2, 'one', 'ai_server', 2 - number % 2, 'another',
           'ai_server:1 is down: timeout', now() - number * interval '{MOVE_HOURS} hours', '[]', '{{}}'
    FROM generate_series({MOVES}, 1, -1) AS number""",
)


async def fill_past(connection: Any) -> None:
    """Write the month of every server that there is, before anything else is known of them; all is summed."""
    # Triggers would queue each single result to be summed once more.
    await connection.execute("SET session_replication_role = replica")
    for statement in STATEMENTS:
        await connection.execute(statement, timeout=300)
    await connection.execute("SET session_replication_role = DEFAULT")
    await connection.execute("ANALYZE", timeout=300)
