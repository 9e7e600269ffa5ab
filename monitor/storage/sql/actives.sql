-- Who serves each purpose, for a person.

-- name: read_active_providers
-- The application's rows beside what we keep: moves, the belief in the one that serves, a pin that holds, a daemon
-- that acts. What we keep of another provider than the row's says nothing of it.
-- $1 the purposes that are known, $2 one of them or NULL for all
SELECT wanted.purpose, wanted.provider_type, wanted.provider_id,
       wanted.fallback_provider_type, wanted.fallback_provider_id, wanted.updated_by, wanted.updated_at,
       coalesce(seen.generation, 0) AS generation,
       clock_timestamp() AS as_of,
       EXISTS (
           SELECT FROM monitor.daemons
           WHERE role = 'active' AND heartbeat_at > clock_timestamp() - interval '20 seconds'
       ) AS is_watched,
       (belief.health ->> 'stale_at')::timestamptz AS stale_at,
       belief.application_status AS status,
       CASE WHEN held.holds THEN seen.pinned_provider_type END AS pinned_provider_type,
       CASE WHEN held.holds THEN seen.pinned_provider_id END AS pinned_provider_id,
       coalesce(
           seen.stranded_since IS NOT NULL AND seen.provider_type = wanted.provider_type
               AND seen.provider_id = wanted.provider_id, FALSE
       ) AS stranded
FROM active_providers AS wanted
LEFT JOIN monitor.purposes AS seen ON seen.purpose = wanted.purpose
LEFT JOIN LATERAL (SELECT coalesce(seen.pinned_until > clock_timestamp(), TRUE) AS holds) AS held ON TRUE
LEFT JOIN monitor.healths AS belief
    ON belief.provider_type = wanted.provider_type AND belief.provider_id = wanted.provider_id
        AND belief.purpose = wanted.purpose
WHERE wanted.purpose = ANY($1::text[]) AND ($2::text IS NULL OR wanted.purpose = $2::text)
ORDER BY array_position($1::text[], wanted.purpose::text);
