-- Uptime over spans that end now, by time; and single results a page at a time.

-- name: read_uptimes
-- Minutes up and down, and deep probes passed and failed, of every target over some spans that end now (of the hour
-- that a span begins in, all probes). Of a thousand targets, one look along an hour finds most of them together; those
-- without that hour are looked up apart.
-- $1 now, $2 the spans
WITH given AS MATERIALIZED (
    SELECT number, hour, monitor.minutes_within(hour, hour, begin) AS minutes
    FROM unnest($2::interval[]) WITH ORDINALITY AS one (span, number)
    CROSS JOIN LATERAL (SELECT $1::timestamptz - span AS begin) AS first
    CROSS JOIN LATERAL (SELECT date_trunc('hour', begin, 'UTC') AS hour) AS second
), edge AS MATERIALIZED (
    SELECT number, provider_type, provider_id, purpose,
           up_before + bit_count((up_minutes & minutes)::bit(64))::integer AS up,
           down_before + bit_count((down_minutes & minutes)::bit(64))::integer AS down,
           passed_before AS passed, failed_before AS failed
    FROM given
    JOIN monitor.uptime_hours USING (hour)
), before AS (
    SELECT number, provider_type, provider_id, purpose, edge.up, edge.down, edge.passed, edge.failed
    FROM edge
    UNION ALL
    SELECT number, total.provider_type, total.provider_id, total.purpose,
           coalesce(later.up_before, total.up), coalesce(later.down_before, total.down),
           coalesce(later.passed_before, total.passed), coalesce(later.failed_before, total.failed)
    FROM monitor.totals AS total
    CROSS JOIN given
    LEFT JOIN LATERAL (
        SELECT up_before, down_before, passed_before, failed_before
        FROM monitor.uptime_hours AS one
        WHERE one.provider_type = total.provider_type AND one.provider_id = total.provider_id
            AND one.purpose = total.purpose AND one.hour > given.hour
        ORDER BY one.hour
        LIMIT 1
    ) AS later ON true
    WHERE (number, total.provider_type, total.provider_id, total.purpose) NOT IN (
        SELECT number, provider_type, provider_id, purpose FROM edge
    )
)
SELECT provider_type, provider_id, purpose,
       array_agg(total.up - before.up ORDER BY number) AS up,
       array_agg(total.down - before.down ORDER BY number) AS down,
       array_agg(total.passed - before.passed ORDER BY number) AS passed,
       array_agg(total.failed - before.failed ORDER BY number) AS failed
FROM monitor.totals AS total
JOIN before USING (provider_type, provider_id, purpose)
GROUP BY provider_type, provider_id, purpose;

-- name: read_uptimes_of
-- The same of some providers.
-- $1 now, $2 the spans, $3 and $4 types and ids of the providers
SELECT total.provider_type, total.provider_id, total.purpose, array_agg(total.up - before.up ORDER BY number) AS up,
       array_agg(total.down - before.down ORDER BY number) AS down,
       array_agg(total.passed - before.passed ORDER BY number) AS passed,
       array_agg(total.failed - before.failed ORDER BY number) AS failed
FROM unnest($3::text[], $4::integer[]) AS wanted (provider_type, provider_id)
JOIN monitor.totals AS total USING (provider_type, provider_id)
CROSS JOIN unnest($2::interval[]) WITH ORDINALITY AS given (span, number)
CROSS JOIN LATERAL monitor.uptime_before(
    total.provider_type, total.provider_id, total.purpose, $1::timestamptz - span
) AS before
GROUP BY total.provider_type, total.provider_id, total.purpose;

-- name: read_purpose_uptimes
-- Minutes in which the one that served a purpose was up and down, over some spans that end now.
-- $1 now, $2 the spans
WITH served AS MATERIALIZED (
    SELECT number, one.purpose, one.provider_type, one.provider_id, one.began_at, one.ended_at
    FROM unnest($2::interval[]) WITH ORDINALITY AS given (span, number)
    CROSS JOIN LATERAL monitor.served($1::timestamptz - span, $1::timestamptz) AS one
)
SELECT served.purpose, number::integer, sum(after.up - before.up)::integer AS up,
       sum(after.down - before.down)::integer AS down
FROM served
CROSS JOIN LATERAL monitor.uptime_before(provider_type, provider_id, served.purpose, began_at) AS before
CROSS JOIN LATERAL monitor.uptime_before(provider_type, provider_id, served.purpose, ended_at) AS after
GROUP BY served.purpose, number;

-- name: read_purpose_days
-- The same by the day.
-- $1 since, $2 until
SELECT served.purpose, (hour AT TIME ZONE 'UTC')::date AS day,
       sum(bit_count((up_minutes & within)::bit(64)))::integer AS up,
       sum(bit_count((down_minutes & within)::bit(64)))::integer AS down
FROM monitor.served($1, $2) AS served
JOIN monitor.uptime_hours USING (provider_type, provider_id, purpose)
CROSS JOIN LATERAL (
    SELECT CASE WHEN hour >= began_at AND hour + interval '1 hour' <= ended_at THEN -1
                ELSE monitor.minutes_within(hour, began_at, ended_at) END AS within
) AS mask
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
