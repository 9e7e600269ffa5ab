-- Uptime over spans that end now, by time; and single results a page at a time.

-- name: read_uptimes
-- Minutes up and down, and deep probes passed and failed, of every target over some spans that end now: by the day, and
-- of the day that a span begins in by the minute (probes by the hour).
-- $1 now, $2 the spans, $3 and $4 only of these providers: types and ids, or null for all
WITH spans AS (
    SELECT number::integer, $1::timestamptz - span AS since, date_trunc('hour', $1::timestamptz - span, 'UTC') AS hour_from,
           date_trunc('day', $1::timestamptz - span, 'UTC') + interval '1 day' AS hour_until
    FROM unnest($2::interval[]) WITH ORDINALITY AS given (span, number)
),
parts AS (
    SELECT spans.number, provider_type, provider_id, purpose, sum(up) AS up, sum(down) AS down,
           sum(passed) AS passed, sum(failed) AS failed
    FROM spans
    JOIN monitor.uptime_days ON day >= (hour_until AT TIME ZONE 'UTC')::date
    WHERE $3::text[] IS NULL
        OR (provider_type, provider_id) IN (SELECT type, id FROM unnest($3::text[], $4::integer[]) AS one (type, id))
    GROUP BY spans.number, provider_type, provider_id, purpose
    UNION ALL
    SELECT spans.number, provider_type, provider_id, purpose,
           sum(bit_count((up_minutes & monitor.minutes_within(hour, since, hour_until))::bit(64))) AS up,
           sum(bit_count((down_minutes & monitor.minutes_within(hour, since, hour_until))::bit(64))) AS down,
           sum(passed) AS passed, sum(failed) AS failed
    FROM spans
    JOIN monitor.uptime_hours ON hour >= hour_from AND hour < hour_until
    WHERE $3::text[] IS NULL
        OR (provider_type, provider_id) IN (SELECT type, id FROM unnest($3::text[], $4::integer[]) AS one (type, id))
    GROUP BY spans.number, provider_type, provider_id, purpose
),
sums AS (
    SELECT number, provider_type, provider_id, purpose, sum(up) AS up, sum(down) AS down, sum(passed) AS passed,
           sum(failed) AS failed
    FROM parts
    GROUP BY number, provider_type, provider_id, purpose
)
SELECT provider_type, provider_id, purpose, array_agg(number) AS numbers, array_agg(up::integer) AS up,
       array_agg(down::integer) AS down, array_agg(passed::bigint) AS passed, array_agg(failed::bigint) AS failed
FROM sums
GROUP BY provider_type, provider_id, purpose;

-- name: read_purpose_uptimes
-- Minutes in which the one that served a purpose was up and down, over some spans that end now.
-- $1 now, $2 the spans
SELECT served.purpose, number::integer,
       sum(bit_count((up_minutes & monitor.minutes_within(hour, began_at, ended_at))::bit(64)))::integer AS up,
       sum(bit_count((down_minutes & monitor.minutes_within(hour, began_at, ended_at))::bit(64)))::integer AS down
FROM unnest($2::interval[]) WITH ORDINALITY AS given (span, number)
CROSS JOIN LATERAL monitor.served($1::timestamptz - span, $1::timestamptz) AS served
JOIN monitor.uptime_hours USING (provider_type, provider_id, purpose)
WHERE hour >= date_trunc('hour', began_at, 'UTC') AND hour < ended_at
GROUP BY served.purpose, number;

-- name: read_purpose_days
-- The same by the day.
-- $1 since, $2 until
SELECT served.purpose, (hour AT TIME ZONE 'UTC')::date AS day,
       sum(bit_count((up_minutes & monitor.minutes_within(hour, began_at, ended_at))::bit(64)))::integer AS up,
       sum(bit_count((down_minutes & monitor.minutes_within(hour, began_at, ended_at))::bit(64)))::integer AS down
FROM monitor.served($1, $2) AS served
JOIN monitor.uptime_hours USING (provider_type, provider_id, purpose)
WHERE hour >= date_trunc('hour', began_at, 'UTC') AND hour < ended_at
GROUP BY served.purpose, day
ORDER BY served.purpose, day;

-- name: page_results
-- A provider's results, newest first, from some instant back; so many of each purpose at most are looked at.
-- $1 provider_type, $2 provider_id, $3 purposes, $4 kind or null, $5 before, $6 and before this id then, $7 how many
SELECT page.id, page.started_at, page.ended_at, page.provider_type, page.provider_id, page.purpose, page.kind,
       page.outcome, page.fingerprint, page.model, page.latency_seconds, page.ttft_seconds, page.http_status,
       page.retry_after_seconds, page.tokens_in, page.tokens_out, page.cost_usd, page.detail, page.readings,
       page.reach_seconds
FROM unnest($3::text[]) AS wanted (purpose)
CROSS JOIN LATERAL (
    SELECT id, started_at, ended_at, provider_type, provider_id, purpose, kind, outcome, fingerprint, model,
           latency_seconds, ttft_seconds, http_status, retry_after_seconds, tokens_in, tokens_out, cost_usd, detail,
           readings, reach_seconds
    FROM monitor.results
    WHERE provider_type = $1 AND provider_id = $2 AND purpose = wanted.purpose
        AND ($4::text IS NULL OR kind = $4)
        AND started_at <= $5 AND (started_at < $5 OR id < $6::uuid)
    ORDER BY started_at DESC, id DESC
    LIMIT $7
) AS page
ORDER BY page.started_at DESC, page.id DESC
LIMIT $7;

-- name: oldest_of_purpose
-- Since when anything is recorded of a purpose.
-- $1 purpose
SELECT least(
    (SELECT min(decided_at) FROM monitor.transitions WHERE purpose = $1),
    (SELECT min(at) FROM monitor.journal WHERE purpose = $1)
);
