-- Probe results, a partition a UTC day.

-- name: find_missing_days
-- Those of some days that have no partition.
-- $1 days
SELECT day
FROM unnest($1::date[]) AS day
WHERE to_regclass('monitor.results_' || to_char(day, 'YYYYMMDD')) IS NULL
ORDER BY day;

-- name: ensure_partition
-- True when the day's partition was missing.
-- $1 day
SELECT monitor.ensure_partition($1::date);

-- name: list_partitions
-- The names of all partitions, oldest first.
SELECT child.relname::text AS name
FROM pg_catalog.pg_inherits AS tree
JOIN pg_catalog.pg_class AS child ON child.oid = tree.inhrelid
WHERE tree.inhparent = to_regclass('monitor.results') AND child.relname ~ '^results_[0-9]{8}$'
ORDER BY name;

-- name: lock_prune
-- One prunes at a time: two that drop the same day at once can find its catalogue rows half gone.
SELECT pg_advisory_xact_lock(hashtextextended('monitor.prune', 0));

-- name: drop_partition
-- One day's results. In braces its name, which came from the catalogue.
DROP TABLE IF EXISTS monitor.{name};

-- name: insert_results
-- A batch; a result that is there already stays as it is.
-- $1 to $20 an array for each column
WITH written AS (
    INSERT INTO monitor.results
        (id, started_at, ended_at, provider_type, provider_id, purpose, kind, outcome, fingerprint, model,
         latency_seconds, ttft_seconds, http_status, retry_after_seconds, tokens_in, tokens_out, cost_usd, detail,
         readings, reach_seconds)
    SELECT id, started_at, ended_at, provider_type, provider_id, purpose, kind, outcome, fingerprint, model,
           latency_seconds, ttft_seconds, http_status, retry_after_seconds, tokens_in, tokens_out, cost_usd, detail,
           readings, reach_seconds
    FROM unnest(
        $1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::integer[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::text[], $11::float8[], $12::float8[], $13::integer[], $14::float8[],
        $15::bigint[], $16::bigint[], $17::float8[], $18::text[], $19::jsonb[], $20::float8[]
    ) AS new (
        id, started_at, ended_at, provider_type, provider_id, purpose, kind, outcome, fingerprint, model,
        latency_seconds, ttft_seconds, http_status, retry_after_seconds, tokens_in, tokens_out, cost_usd, detail,
        readings, reach_seconds
    )
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM written;

-- name: recent_results
-- A target's last results, newest first.
-- $1 provider_type, $2 provider_id, $3 purpose or 'none', $4 kind or null for both, $5 how many
SELECT id, started_at, ended_at, provider_type, provider_id, purpose, kind, outcome, fingerprint, model,
       latency_seconds, ttft_seconds, http_status, retry_after_seconds, tokens_in, tokens_out, cost_usd, detail,
       readings, reach_seconds
FROM monitor.results
WHERE provider_type = $1 AND provider_id = $2 AND purpose = $3 AND ($4::text IS NULL OR kind = $4)
ORDER BY started_at DESC, id DESC
LIMIT $5;

-- name: fetch_results
-- Results by their ids, oldest first.
-- $1 ids
SELECT id, started_at, ended_at, provider_type, provider_id, purpose, kind, outcome, fingerprint, model,
       latency_seconds, ttft_seconds, http_status, retry_after_seconds, tokens_in, tokens_out, cost_usd, detail,
       readings
FROM monitor.results
WHERE id = ANY($1::uuid[])
ORDER BY started_at, id;

-- name: spent_since
-- What probing each provider has cost.
-- $1 since
SELECT provider_type, provider_id, sum(cost_usd) AS cost_usd
FROM monitor.results
WHERE started_at >= $1 AND cost_usd IS NOT NULL
GROUP BY provider_type, provider_id;
