-- From results that have arrived to sums by the hour and the day, and to minutes up and down.

-- name: lock_roll_up
-- One rolls up at a time: what is read here is written again as a whole.
SELECT pg_advisory_xact_lock(hashtextextended('monitor.roll_up', 0));

-- name: take_arrivals
-- Some of what is not summed yet, and out of the queue with it.
-- $1 how many at most
DELETE FROM monitor.arrivals
WHERE ctid = ANY(ARRAY(SELECT ctid FROM monitor.arrivals LIMIT $1))
RETURNING started_at, provider_type, provider_id, purpose, kind, outcome, latency_seconds, ttft_seconds,
          tokens_in, tokens_out, cost_usd, reach_seconds;

-- name: read_hour_sums
-- What is summed already of some hours.
-- $1 to $5 an array for each: provider_type, provider_id, purpose, kind, hour
SELECT known.provider_type, known.provider_id, known.purpose, known.kind, known.hour AS at,
       known.counts, known.latency, known.ttft, known.tokens_in, known.tokens_out, known.cost_usd
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::timestamptz[])
    AS wanted (provider_type, provider_id, purpose, kind, hour)
JOIN monitor.hours AS known USING (provider_type, provider_id, purpose, kind, hour);

-- name: write_hour_sums
-- The sums of some hours as they are now.
-- $1 to $11 an array for each column; the histograms as text
INSERT INTO monitor.hours
    (provider_type, provider_id, purpose, kind, hour, counts, latency, ttft, tokens_in, tokens_out, cost_usd)
SELECT provider_type, provider_id, purpose, kind, hour, counts, latency::integer[], ttft::integer[],
       tokens_in, tokens_out, cost_usd
FROM unnest(
    $1::text[], $2::integer[], $3::text[], $4::text[], $5::timestamptz[], $6::jsonb[], $7::text[], $8::text[],
    $9::bigint[], $10::bigint[], $11::float8[]
) AS new (
    provider_type, provider_id, purpose, kind, hour, counts, latency, ttft, tokens_in, tokens_out, cost_usd
)
ON CONFLICT (provider_type, provider_id, purpose, kind, hour) DO UPDATE SET
    counts = excluded.counts,
    latency = excluded.latency,
    ttft = excluded.ttft,
    tokens_in = excluded.tokens_in,
    tokens_out = excluded.tokens_out,
    cost_usd = excluded.cost_usd;

-- name: read_day_sums
-- What is summed already of some days.
-- $1 to $5 an array for each: provider_type, provider_id, purpose, kind, day
SELECT known.provider_type, known.provider_id, known.purpose, known.kind, known.day AS at,
       known.counts, known.latency, known.ttft, known.tokens_in, known.tokens_out, known.cost_usd
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::date[])
    AS wanted (provider_type, provider_id, purpose, kind, day)
JOIN monitor.days AS known USING (provider_type, provider_id, purpose, kind, day);

-- name: write_day_sums
-- The sums of some days as they are now.
-- $1 to $11 an array for each column; the histograms as text
INSERT INTO monitor.days
    (provider_type, provider_id, purpose, kind, day, counts, latency, ttft, tokens_in, tokens_out, cost_usd)
SELECT provider_type, provider_id, purpose, kind, day, counts, latency::integer[], ttft::integer[],
       tokens_in, tokens_out, cost_usd
FROM unnest(
    $1::text[], $2::integer[], $3::text[], $4::text[], $5::date[], $6::jsonb[], $7::text[], $8::text[],
    $9::bigint[], $10::bigint[], $11::float8[]
) AS new (
    provider_type, provider_id, purpose, kind, day, counts, latency, ttft, tokens_in, tokens_out, cost_usd
)
ON CONFLICT (provider_type, provider_id, purpose, kind, day) DO UPDATE SET
    counts = excluded.counts,
    latency = excluded.latency,
    ttft = excluded.ttft,
    tokens_in = excluded.tokens_in,
    tokens_out = excluded.tokens_out,
    cost_usd = excluded.cost_usd;

-- name: add_marks
-- What deep probes showed of some hours; their minutes are due then.
-- $1 to $9 an array for each: hour, provider_type, provider_id, purpose, minutes with a pass, minutes with a failure,
-- passes, failures, reach in minutes
WITH added AS (
    INSERT INTO monitor.uptime_hours AS known
        (provider_type, provider_id, purpose, hour, passed_minutes, failed_minutes, passed, failed, reach)
    SELECT provider_type, provider_id, purpose, hour, passed_minutes, failed_minutes, passed, failed, reach
    FROM unnest(
        $1::timestamptz[], $2::text[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[], $7::integer[],
        $8::integer[], $9::smallint[]
    ) AS new (hour, provider_type, provider_id, purpose, passed_minutes, failed_minutes, passed, failed, reach)
    ON CONFLICT (provider_type, provider_id, purpose, hour) DO UPDATE SET
        passed_minutes = known.passed_minutes | excluded.passed_minutes,
        failed_minutes = known.failed_minutes | excluded.failed_minutes,
        passed = known.passed + excluded.passed,
        failed = known.failed + excluded.failed,
        reach = greatest(known.reach, excluded.reach)
    RETURNING provider_type, provider_id, purpose, hour
)
INSERT INTO monitor.uptime_due (provider_type, provider_id, purpose, hour)
SELECT provider_type, provider_id, purpose, hour FROM added
ON CONFLICT DO NOTHING;

-- name: add_uptime_days
-- Minutes and probes more, or fewer, of some days.
-- $1 to $8 an array for each: day, provider_type, provider_id, purpose, minutes up, minutes down, passes, failures
INSERT INTO monitor.uptime_days AS known (provider_type, provider_id, purpose, day, up, down, passed, failed)
SELECT provider_type, provider_id, purpose, day, up, down, passed, failed
FROM unnest(
    $1::date[], $2::text[], $3::integer[], $4::text[], $5::smallint[], $6::smallint[], $7::integer[], $8::integer[]
) AS new (day, provider_type, provider_id, purpose, up, down, passed, failed)
ON CONFLICT (provider_type, provider_id, purpose, day) DO UPDATE SET
    up = known.up + excluded.up,
    down = known.down + excluded.down,
    passed = known.passed + excluded.passed,
    failed = known.failed + excluded.failed;

-- name: read_due
-- Hours whose minutes are due, in their order, each with what the hour before hands on.
-- $1 instant, $2 to $5 only after this hour, provider_type, provider_id and purpose, $6 how many at most
SELECT due.hour, due.provider_type, due.provider_id, due.purpose,
       coalesce(known.passed_minutes, 0) AS passed_minutes, coalesce(known.failed_minutes, 0) AS failed_minutes,
       coalesce(known.up_minutes, 0) AS up_minutes, coalesce(known.down_minutes, 0) AS down_minutes,
       coalesce(known.reach, 0) AS reach, coalesce(known.carried, 0) AS carried,
       coalesce(before.carried, 0) AS handed_on
FROM monitor.uptime_due AS due
LEFT JOIN monitor.uptime_hours AS known
    ON known.provider_type = due.provider_type AND known.provider_id = due.provider_id
    AND known.purpose = due.purpose AND known.hour = due.hour
LEFT JOIN monitor.uptime_hours AS before
    ON before.provider_type = due.provider_type AND before.provider_id = due.provider_id
    AND before.purpose = due.purpose AND before.hour = due.hour - interval '1 hour'
WHERE due.hour <= $1
    AND (due.hour, due.provider_type, due.provider_id, due.purpose) > ($2::timestamptz, $3::text, $4::integer, $5::text)
ORDER BY due.hour, due.provider_type, due.provider_id, due.purpose
LIMIT $6;

-- name: write_minutes
-- The minutes of some hours as they are now.
-- $1 to $7 an array for each: hour, provider_type, provider_id, purpose, up_minutes, down_minutes, carried
INSERT INTO monitor.uptime_hours (provider_type, provider_id, purpose, hour, up_minutes, down_minutes, carried)
SELECT provider_type, provider_id, purpose, hour, up_minutes, down_minutes, carried
FROM unnest(
    $1::timestamptz[], $2::text[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[], $7::smallint[]
) AS new (hour, provider_type, provider_id, purpose, up_minutes, down_minutes, carried)
ON CONFLICT (provider_type, provider_id, purpose, hour) DO UPDATE SET
    up_minutes = excluded.up_minutes,
    down_minutes = excluded.down_minutes,
    carried = excluded.carried;

-- name: add_due
-- Hours that are due.
-- $1 to $4 an array for each: hour, provider_type, provider_id, purpose
INSERT INTO monitor.uptime_due (provider_type, provider_id, purpose, hour)
SELECT provider_type, provider_id, purpose, hour
FROM unnest($1::timestamptz[], $2::text[], $3::integer[], $4::text[]) AS new (hour, provider_type, provider_id, purpose)
ON CONFLICT DO NOTHING;

-- name: drop_due
-- Hours that are done.
-- $1 to $4 an array for each: hour, provider_type, provider_id, purpose
DELETE FROM monitor.uptime_due AS due
USING unnest($1::timestamptz[], $2::text[], $3::integer[], $4::text[]) AS done (hour, provider_type, provider_id, purpose)
WHERE due.provider_type = done.provider_type AND due.provider_id = done.provider_id
    AND due.purpose = done.purpose AND due.hour = done.hour;

-- name: prune_hour_sums
-- Sums by the hour that have expired, so many at once. $1 instant, $2 how many at most
WITH gone AS (
    DELETE FROM monitor.hours
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM monitor.hours WHERE hour < $1 LIMIT $2))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: prune_hour_minutes
-- Minutes that have expired. $1 instant, $2 how many at most
WITH gone AS (
    DELETE FROM monitor.uptime_hours
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM monitor.uptime_hours WHERE hour < $1 LIMIT $2))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: prune_day_sums
-- Sums by the day that have expired. $1 day, $2 how many at most
WITH gone AS (
    DELETE FROM monitor.days
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM monitor.days WHERE day < $1 LIMIT $2))
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: prune_day_minutes
-- Days of minutes that have expired. $1 day, $2 how many at most
WITH gone AS (
    DELETE FROM monitor.uptime_days
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM monitor.uptime_days WHERE day < $1 LIMIT $2))
    RETURNING 1
)
SELECT count(*) FROM gone;
