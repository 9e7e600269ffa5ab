-- What an application asks: who serves, and all that it takes to call it.

-- name: read_served
-- Who serves a purpose (or another provider in its place), with its row and what is believed of it, as of one instant.
-- $1 purpose, $2 and $3 provider_type and provider_id of that other one, or NULL
SELECT active.provider_type, active.provider_id, active.fallback_provider_type, active.fallback_provider_id,
       server.id IS NOT NULL AS is_server, coalesce(server.id, key.id) AS id,
       coalesce(server.enabled, key.enabled, false) AS enabled,
       coalesce(server.metadata::text, key.metadata::text) AS metadata,
       coalesce(server.name, '') AS name, server.server_type, server.base_url, server.api_key, server.model_path,
       coalesce(server.use_for_chat, false) AS use_for_chat,
       coalesce(server.use_for_embeddings, false) AS use_for_embeddings,
       coalesce(server.use_for_reranking, false) AS use_for_reranking,
       server.health_status, server.last_health_check,
       coalesce(key.provider, '') AS provider, coalesce(key.key_name, '') AS key_name,
       coalesce(key.encrypted_key, '') AS encrypted_key,
       belief.application_status, belief.last_started_at,
       noted.sealed_sha256, noted.identity, (SELECT salt FROM monitor.key_salt) AS salt
FROM (
    SELECT $1::text AS purpose, coalesce($2::text, chosen.provider_type) AS provider_type,
           coalesce($3::integer, chosen.provider_id) AS provider_id,
           chosen.fallback_provider_type, chosen.fallback_provider_id
    FROM (SELECT 1) AS one
    LEFT JOIN active_providers AS chosen ON chosen.purpose = $1::text
    WHERE $2::text IS NOT NULL OR chosen.purpose IS NOT NULL
) AS active
LEFT JOIN ai_servers AS server ON active.provider_type = 'ai_server' AND server.id = active.provider_id
LEFT JOIN llm_api_keys AS key ON active.provider_type = 'api_key' AND key.id = active.provider_id
LEFT JOIN monitor.healths AS belief
    ON belief.provider_type = active.provider_type AND belief.provider_id = active.provider_id
    AND belief.purpose = active.purpose
LEFT JOIN monitor.keys AS noted
    ON noted.provider_type = active.provider_type AND noted.provider_id = active.provider_id;

-- name: read_candidates
-- Whom a purpose may be served by, best first: the operator's order, then whom its row names.
-- $1 purpose
SELECT provider_type, provider_id, position
FROM monitor.preferences
WHERE purpose = $1::text
UNION ALL
SELECT provider_type, provider_id, 1000000 FROM active_providers WHERE purpose = $1::text
UNION ALL
SELECT fallback_provider_type, fallback_provider_id, 1000001 FROM active_providers WHERE purpose = $1::text
ORDER BY position;

-- name: read_proved_model
-- The model that a target's last good probe of these days asked for.
-- $1 provider_type, $2 provider_id, $3 purpose, $4 fingerprint
SELECT model
FROM monitor.results
WHERE provider_type = $1 AND provider_id = $2 AND purpose = $3 AND kind = 'deep' AND outcome = 'ok'
    AND fingerprint = $4 AND started_at > clock_timestamp() - interval '2 days'
ORDER BY started_at DESC
LIMIT 1;

-- name: read_backend_pid
-- The server's process behind this very statement.
SELECT pg_backend_pid();
