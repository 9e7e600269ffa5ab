-- What was counted by the hour, and single results a page at a time.

-- name: read_uptimes
-- How often each target passed and failed within a day, a week and 30 days; one pass over some rows an hour.
-- $1 outcomes that pass, $2 outcomes that do not
WITH spans AS (
    SELECT date_trunc('hour', clock_timestamp() - interval '1 day', 'UTC') AS day,
           date_trunc('hour', clock_timestamp() - interval '7 days', 'UTC') AS week,
           date_trunc('hour', clock_timestamp() - interval '30 days', 'UTC') AS month
)
SELECT provider_type, provider_id, purpose, min(hour) AS since,
       coalesce(sum(count) FILTER (WHERE hour >= day AND outcome = ANY($1::text[])), 0)::bigint AS day_passed,
       coalesce(sum(count) FILTER (WHERE hour >= day AND outcome = ANY($2::text[])), 0)::bigint AS day_failed,
       coalesce(sum(count) FILTER (WHERE hour >= week AND outcome = ANY($1::text[])), 0)::bigint AS week_passed,
       coalesce(sum(count) FILTER (WHERE hour >= week AND outcome = ANY($2::text[])), 0)::bigint AS week_failed,
       coalesce(sum(count) FILTER (WHERE outcome = ANY($1::text[])), 0)::bigint AS month_passed,
       coalesce(sum(count) FILTER (WHERE outcome = ANY($2::text[])), 0)::bigint AS month_failed
FROM monitor.result_hours, spans
WHERE hour >= (SELECT month FROM spans)
GROUP BY provider_type, provider_id, purpose;

-- name: prune_hours
-- Counts that no uptime reaches.
-- $1 instant
DELETE FROM monitor.result_hours WHERE hour < $1;

-- name: page_results
-- A provider's results, newest first, from some instant back; so many of each purpose at most are looked at.
-- $1 provider_type, $2 provider_id, $3 purposes, $4 kind or null, $5 before, $6 and before this id then, $7 how many
SELECT page.id, page.started_at, page.ended_at, page.provider_type, page.provider_id, page.purpose, page.kind,
       page.outcome, page.fingerprint, page.model, page.latency_seconds, page.ttft_seconds, page.http_status,
       page.retry_after_seconds, page.tokens_in, page.tokens_out, page.cost_usd, page.detail, page.readings
FROM unnest($3::text[]) AS wanted (purpose)
CROSS JOIN LATERAL (
    SELECT id, started_at, ended_at, provider_type, provider_id, purpose, kind, outcome, fingerprint, model,
           latency_seconds, ttft_seconds, http_status, retry_after_seconds, tokens_in, tokens_out, cost_usd, detail,
           readings
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
