"""Weeks that never were, for the page to draw: troubled days, days without data, a latency that breathes."""

from typing import Any

DAYS = 70
HOURS = DAYS * 24
DRAWN_HOURS = 48

# Some hours of some days are down in part, by the server and the day. Five days are missing, all before
# the last thirty, whatever the time of day.
_DOWN = """CASE WHEN (server.id * 7 + extract(doy FROM at)::int) % 19 = 0
        AND extract(hour FROM at) BETWEEN 3 AND 3 + server.id % 4
    THEN 7 + (server.id * 13 + extract(doy FROM at)::int) % 50 ELSE 0 END"""
_SECONDS = """(0.16 + server.id % 5 * 0.13) * (1 + 0.4 * sin(extract(epoch FROM at) / 14000 + server.id))
    * (CASE WHEN extract(hour FROM at) = 3 THEN 2.4 ELSE 1 END)"""
_BUCKET = f"ceil(ln(({_SECONDS}) / 1e-4) / ln(1.1))::int"
_TODAY = "(now() AT TIME ZONE 'UTC')::date"
_HOUR = "date_trunc('hour', now())"

STATEMENTS = (
    f"""INSERT INTO monitor.uptime_hours
        (hour, provider_type, provider_id, purpose, passed_minutes, failed_minutes, up_minutes,
         down_minutes, passed, failed, reach, carried, up_before, down_before, passed_before, failed_before)
    SELECT at, 'ai_server', id, purpose, up, down, up, down, 12, (down > 0)::int, 15, 15,
           coalesce(sum(60 - minutes) OVER earlier, 0), coalesce(sum(minutes) OVER earlier, 0),
           coalesce(sum(12) OVER earlier, 0), coalesce(sum((down > 0)::int) OVER earlier, 0)
    FROM (
        SELECT server.id, target.purpose, at, {_DOWN} AS minutes
        FROM ai_servers AS server
        CROSS JOIN unnest(ARRAY['chat', 'embeddings']) AS target (purpose)
        CROSS JOIN generate_series(
            {_HOUR} - interval '{HOURS} hours', {_HOUR} - interval '1 hour', interval '1 hour') AS at
        WHERE CASE target.purpose WHEN 'chat' THEN use_for_chat ELSE use_for_embeddings END
            AND at::date NOT BETWEEN {_TODAY} - 36 AND {_TODAY} - 32
    ) AS seen
    CROSS JOIN LATERAL (SELECT (1::bigint << minutes) - 1 AS down, (1::bigint << 60) - 1 AS whole) AS mask
    CROSS JOIN LATERAL (SELECT whole & ~down AS up) AS other
    WINDOW earlier AS (
        PARTITION BY id, purpose ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)""",
    """INSERT INTO monitor.uptime_days
        (day, provider_type, provider_id, purpose, up, down, passed, failed)
    SELECT (hour AT TIME ZONE 'UTC')::date, provider_type, provider_id, purpose,
           sum(bit_count(up_minutes::bit(64))), sum(bit_count(down_minutes::bit(64))),
           sum(passed), sum(failed)
    FROM monitor.uptime_hours
    GROUP BY 1, 2, 3, 4""",
    """INSERT INTO monitor.totals (provider_type, provider_id, purpose, up, down, passed, failed)
    SELECT provider_type, provider_id, purpose, sum(up), sum(down), sum(passed), sum(failed)
    FROM monitor.uptime_days
    GROUP BY 1, 2, 3""",
    f"""INSERT INTO monitor.hours
        (hour, provider_type, provider_id, purpose, kind, counts, latency, ttft,
         tokens_in, tokens_out, cost_usd)
    SELECT at, provider_type, provider_id, purpose, 'deep', '{{"ok": 12}}',
           ARRAY[place, 5, place + 1, 4, place + 4, 2, place + 7, 1],
           CASE purpose WHEN 'chat' THEN ARRAY[place - 12, 6, place - 10, 6] ELSE '{{}}' END, 120, 60, 0
    FROM (
        SELECT hour AS at, provider_type, provider_id, purpose, {_BUCKET} AS place
        FROM monitor.uptime_hours JOIN ai_servers AS server ON server.id = provider_id
        CROSS JOIN LATERAL (SELECT hour AS at) AS one
        WHERE hour >= now() - interval '{DRAWN_HOURS} hours'
    ) AS seen""",
    f"SELECT monitor.ensure_partition({_TODAY} - ago) FROM generate_series(0, 1) AS ago",
    """INSERT INTO monitor.results
        (id, started_at, ended_at, provider_type, provider_id, purpose, kind, outcome, fingerprint, readings)
    SELECT gen_random_uuid(), now() - interval '2 minutes', now() - interval '119 seconds', 'ai_server', id,
           'chat', 'light', 'ok', 'past', jsonb_build_object(
               'credit_remaining_usd', CASE id WHEN 3 THEN 3.2 ELSE 128.4 END,
               'ratelimit_remaining', jsonb_build_object('requests', 4980, 'tokens', 1250000),
               'tls_expires_at', to_char(now() + interval '60 days', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"'))
    FROM ai_servers
    WHERE id % 5 = 3""",
)

MOVES = """INSERT INTO monitor.transitions
        (purpose, generation, rule, from_provider_type, from_provider_id, from_name, to_provider_type,
         to_provider_id, to_name, reason, failure_began_at, decided_at, evidence, policy)
    SELECT 'chat', -number, CASE WHEN number % 2 = 0 THEN 'fail_over' ELSE 'fail_back' END,
           'ai_server', 1 + number % 2, (SELECT name FROM ai_servers WHERE id = 1 + number % 2),
           'ai_server', 2 - number % 2, (SELECT name FROM ai_servers WHERE id = 2 - number % 2),
           CASE WHEN number % 2 = 0 THEN 'ai_server:1 is down: timeout'
               ELSE 'ai_server:1 is preferred and has recovered' END,
           now() - number * interval '31 hours' - interval '21 seconds',
           now() - number * interval '31 hours', '[]', '{}'
    FROM generate_series(6, 1, -1) AS number"""


async def fill_past(connection: Any, *, moves: bool) -> None:
    """Write the past of every server that there is, before a daemon knows of them; all is summed.

    Args:
        connection: of whoever owns the database.
        moves: some of chat between servers 1 and 2, too.
    """
    # Triggers would queue the single results to be summed once more.
    await connection.execute("SET session_replication_role = replica")
    for statement in (*STATEMENTS, *([MOVES] if moves else [])):
        await connection.execute(statement, timeout=120)
    await connection.execute("SET session_replication_role = DEFAULT")
    await connection.execute("ANALYZE", timeout=120)
