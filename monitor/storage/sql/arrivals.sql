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

-- name: know_targets
-- Targets of which something is summed.
-- $1 to $3 an array for each: provider_type, provider_id, purpose
INSERT INTO monitor.totals (provider_type, provider_id, purpose)
SELECT provider_type, provider_id, purpose
FROM unnest($1::text[], $2::integer[], $3::text[]) AS new (provider_type, provider_id, purpose)
ON CONFLICT DO NOTHING;

-- name: begin_hours
-- Rows for hours that have none yet; before each lies what lies before the next one that there is.
-- $1 to $4 an array for each: hour, provider_type, provider_id, purpose
INSERT INTO monitor.uptime_hours
    (provider_type, provider_id, purpose, hour, up_before, down_before, passed_before, failed_before)
SELECT provider_type, provider_id, purpose, new.hour, coalesce(later.up_before, total.up),
       coalesce(later.down_before, total.down), coalesce(later.passed_before, total.passed),
       coalesce(later.failed_before, total.failed)
FROM unnest($1::timestamptz[], $2::text[], $3::integer[], $4::text[]) AS new (hour, provider_type, provider_id, purpose)
JOIN monitor.totals AS total USING (provider_type, provider_id, purpose)
LEFT JOIN LATERAL (
    SELECT one.up_before, one.down_before, one.passed_before, one.failed_before
    FROM monitor.uptime_hours AS one
    WHERE one.provider_type = new.provider_type AND one.provider_id = new.provider_id AND one.purpose = new.purpose
        AND one.hour > new.hour
    ORDER BY one.hour
    LIMIT 1
) AS later ON true
WHERE NOT EXISTS (
    SELECT FROM monitor.uptime_hours AS known
    WHERE known.provider_type = new.provider_type AND known.provider_id = new.provider_id
        AND known.purpose = new.purpose AND known.hour = new.hour
);

-- name: add_marks
-- What deep probes showed of some hours, which have their rows; their minutes are due then.
-- $1 to $9 an array for each: hour, provider_type, provider_id, purpose, minutes with a pass, minutes with a failure,
-- reach in minutes, passes, failures
WITH added AS (
    UPDATE monitor.uptime_hours AS known
    SET passed_minutes = known.passed_minutes | new.passed_minutes,
        failed_minutes = known.failed_minutes | new.failed_minutes,
        reach = greatest(known.reach, new.reach),
        passed = known.passed + new.passed,
        failed = known.failed + new.failed
    FROM unnest(
        $1::timestamptz[], $2::text[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[], $7::smallint[],
        $8::integer[], $9::integer[]
    ) AS new (hour, provider_type, provider_id, purpose, passed_minutes, failed_minutes, reach, passed, failed)
    WHERE known.provider_type = new.provider_type AND known.provider_id = new.provider_id
        AND known.purpose = new.purpose AND known.hour = new.hour
    RETURNING known.provider_type, known.provider_id, known.purpose, known.hour
)
INSERT INTO monitor.uptime_due (provider_type, provider_id, purpose, hour)
SELECT provider_type, provider_id, purpose, hour FROM added
ON CONFLICT DO NOTHING;

-- name: add_to_later_hours
-- What lies before the hours that come after some.
-- $1 to $8 an array for each: hour, provider_type, provider_id, purpose, minutes up, minutes down, passes, failures
UPDATE monitor.uptime_hours AS known
SET up_before = known.up_before + more.up,
    down_before = known.down_before + more.down,
    passed_before = known.passed_before + more.passed,
    failed_before = known.failed_before + more.failed
FROM (
    SELECT later.provider_type, later.provider_id, later.purpose, later.hour, sum(new.up) AS up, sum(new.down) AS down,
           sum(new.passed) AS passed, sum(new.failed) AS failed
    FROM unnest(
        $1::timestamptz[], $2::text[], $3::integer[], $4::text[], $5::smallint[], $6::smallint[], $7::integer[],
        $8::integer[]
    ) AS new (hour, provider_type, provider_id, purpose, up, down, passed, failed)
    JOIN monitor.uptime_hours AS later
        ON later.provider_type = new.provider_type AND later.provider_id = new.provider_id
        AND later.purpose = new.purpose AND later.hour > new.hour
    GROUP BY later.provider_type, later.provider_id, later.purpose, later.hour
) AS more
WHERE known.provider_type = more.provider_type AND known.provider_id = more.provider_id
    AND known.purpose = more.purpose AND known.hour = more.hour;

-- name: add_to_totals
-- More, or less, of some targets.
-- $1 to $8 an array for each: hour, provider_type, provider_id, purpose, minutes up, minutes down, passes, failures
UPDATE monitor.totals AS known
SET up = known.up + more.up,
    down = known.down + more.down,
    passed = known.passed + more.passed,
    failed = known.failed + more.failed
FROM (
    SELECT provider_type, provider_id, purpose, sum(up) AS up, sum(down) AS down, sum(passed) AS passed,
           sum(failed) AS failed
    FROM unnest(
        $1::timestamptz[], $2::text[], $3::integer[], $4::text[], $5::smallint[], $6::smallint[], $7::integer[],
        $8::integer[]
    ) AS new (hour, provider_type, provider_id, purpose, up, down, passed, failed)
    GROUP BY provider_type, provider_id, purpose
) AS more
WHERE known.provider_type = more.provider_type AND known.provider_id = more.provider_id
    AND known.purpose = more.purpose;

-- name: add_to_days
-- More, or less, of some days.
-- $1 to $8 an array for each: hour, provider_type, provider_id, purpose, minutes up, minutes down, passes, failures
INSERT INTO monitor.uptime_days AS known (provider_type, provider_id, purpose, day, up, down, passed, failed)
SELECT provider_type, provider_id, purpose, (hour AT TIME ZONE 'UTC')::date AS day, sum(up), sum(down), sum(passed),
       sum(failed)
FROM unnest(
    $1::timestamptz[], $2::text[], $3::integer[], $4::text[], $5::smallint[], $6::smallint[], $7::integer[],
    $8::integer[]
) AS new (hour, provider_type, provider_id, purpose, up, down, passed, failed)
GROUP BY provider_type, provider_id, purpose, day
ON CONFLICT (provider_type, provider_id, purpose, day) DO UPDATE SET
    up = known.up + excluded.up,
    down = known.down + excluded.down,
    passed = known.passed + excluded.passed,
    failed = known.failed + excluded.failed;

-- name: read_due
-- Hours whose minutes are due, in their order, each with what the hour before hands on.
-- $1 instant, $2 to $5 only after this hour, provider_type, provider_id and purpose, $6 how many at most
WITH due AS MATERIALIZED (
    SELECT hour, provider_type, provider_id, purpose
    FROM monitor.uptime_due
    WHERE hour <= $1
        AND (hour, provider_type, provider_id, purpose) > ($2::timestamptz, $3::text, $4::integer, $5::text)
    ORDER BY hour, provider_type, provider_id, purpose
    LIMIT $6
)
SELECT due.hour, due.provider_type, due.provider_id, due.purpose,
       coalesce(known.passed_minutes, 0) AS passed_minutes, coalesce(known.failed_minutes, 0) AS failed_minutes,
       coalesce(known.up_minutes, 0) AS up_minutes, coalesce(known.down_minutes, 0) AS down_minutes,
       coalesce(known.reach, 0) AS reach, coalesce(known.carried, 0) AS carried,
       coalesce(before.carried, 0) AS handed_on
FROM due
LEFT JOIN LATERAL ( -- one by one, by their keys: whatever the planner knows of tables that change all the time
    SELECT one.passed_minutes, one.failed_minutes, one.up_minutes, one.down_minutes, one.reach, one.carried
    FROM monitor.uptime_hours AS one
    WHERE one.provider_type = due.provider_type AND one.provider_id = due.provider_id
        AND one.purpose = due.purpose AND one.hour = due.hour
    LIMIT 1
) AS known ON true
LEFT JOIN LATERAL (
    SELECT one.carried
    FROM monitor.uptime_hours AS one
    WHERE one.provider_type = due.provider_type AND one.provider_id = due.provider_id
        AND one.purpose = due.purpose AND one.hour = due.hour - interval '1 hour'
    LIMIT 1
) AS before ON true
ORDER BY due.hour, due.provider_type, due.provider_id, due.purpose;

-- name: write_minutes
-- The minutes of some hours as they are now.
-- $1 to $7 an array for each: hour, provider_type, provider_id, purpose, up_minutes, down_minutes, carried
UPDATE monitor.uptime_hours AS known
SET up_minutes = new.up_minutes,
    down_minutes = new.down_minutes,
    carried = new.carried
FROM unnest(
    $1::timestamptz[], $2::text[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[], $7::smallint[]
) AS new (hour, provider_type, provider_id, purpose, up_minutes, down_minutes, carried)
WHERE known.provider_type = new.provider_type AND known.provider_id = new.provider_id
    AND known.purpose = new.purpose AND known.hour = new.hour;

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

-- name: prune_totals
-- Targets of which nothing is left.
DELETE FROM monitor.totals AS total
WHERE NOT EXISTS (
    SELECT FROM monitor.uptime_hours AS hour
    WHERE hour.provider_type = total.provider_type AND hour.provider_id = total.provider_id
        AND hour.purpose = total.purpose
) AND NOT EXISTS (
    SELECT FROM monitor.days AS day
    WHERE day.provider_type = total.provider_type AND day.provider_id = total.provider_id
        AND day.purpose = total.purpose
);
