-- What `llm-monitor status` shows; read in one snapshot.

-- name: status_clock
-- The clock by which all ages are reckoned.
SELECT clock_timestamp();

-- name: status_purposes
-- Who serves each purpose by the application's own row, beside what we keep of it.
SELECT
    wanted.purpose, wanted.provider_type, wanted.provider_id,
    wanted.fallback_provider_type, wanted.fallback_provider_id,
    seen.provider_type IS NOT DISTINCT FROM wanted.provider_type
        AND seen.provider_id IS NOT DISTINCT FROM wanted.provider_id AS is_seen,
    seen.generation, seen.since, seen.rule, seen.stranded_since, seen.paused_at,
    seen.pinned_provider_type, seen.pinned_provider_id, seen.pinned_until, seen.held_at, seen.held_until
FROM active_providers AS wanted
LEFT JOIN monitor.purposes AS seen ON seen.purpose = wanted.purpose
ORDER BY wanted.purpose;

-- name: status_targets
-- Every provider with what is believed of each of its targets; one row for a provider that is not probed.
SELECT
    provider.provider_type, provider.provider_id, provider.name, provider.kind, provider.enabled,
    belief.purpose, belief.state, belief.since, belief.eligible, belief.application_status, belief.block,
    array_to_string(belief.warnings, ',') AS warnings, belief.last_outcome, belief.last_started_at,
    (belief.health ->> 'stale_at')::timestamptz AS stale_at,
    belief.health ->> 'light_outcome' AS light_outcome,
    (belief.health ->> 'light_started_at')::timestamptz AS light_started_at,
    span.starts_at AS maintenance_starts_at, span.ends_at AS maintenance_ends_at,
    span.user_id AS maintenance_user, span.reason AS maintenance_reason
FROM (
    SELECT 'ai_server' AS provider_type, id AS provider_id, coalesce(name, '') AS name, coalesce(server_type, '') AS kind,
           coalesce(enabled, FALSE) AS enabled
    FROM ai_servers
    UNION ALL
    SELECT 'api_key', id, concat(provider, '/', key_name), coalesce(provider, ''), coalesce(enabled, FALSE)
    FROM llm_api_keys
) AS provider
LEFT JOIN monitor.maintenance AS span
    ON span.provider_type = provider.provider_type
    AND span.provider_id = provider.provider_id
    AND (span.ends_at IS NULL OR span.ends_at > clock_timestamp())
LEFT JOIN monitor.healths AS belief
    ON belief.provider_type = provider.provider_type AND belief.provider_id = provider.provider_id
ORDER BY provider.provider_type, provider.provider_id, belief.purpose;

-- name: status_results
-- The last deep result of targets, as far as it is kept.
-- $1 and $2 only of these providers: types and ids, or null for all
SELECT belief.provider_type, belief.provider_id, belief.purpose,
       result.latency_seconds, result.ttft_seconds, result.model, result.detail
FROM monitor.healths AS belief
CROSS JOIN LATERAL (
    SELECT latency_seconds, ttft_seconds, model, detail
    FROM monitor.results
    WHERE results.started_at = belief.last_started_at
        AND results.provider_type = belief.provider_type
        AND results.provider_id = belief.provider_id
        AND results.purpose = belief.purpose
        AND results.kind = 'deep'
    LIMIT 1
) AS result
WHERE $1::text[] IS NULL OR (belief.provider_type, belief.provider_id) IN (
    SELECT type, id FROM unnest($1::text[], $2::integer[]) AS one (type, id)
);

-- name: status_transitions
-- The last moves, the newest first.
-- $1 how many
SELECT purpose, generation, rule, from_provider_type, from_provider_id, from_name,
       to_provider_type, to_provider_id, to_name, reason, failure_began_at, decided_at
FROM monitor.transitions
ORDER BY decided_at DESC, id DESC
LIMIT $1;
