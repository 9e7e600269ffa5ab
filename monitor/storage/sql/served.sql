-- What an application asks: who serves, and all that it takes to call it.

-- name: read_served
-- Who serves a purpose, with its row and what is believed of it, as of one instant.
-- $1 purpose
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
FROM active_providers AS active
LEFT JOIN ai_servers AS server ON active.provider_type = 'ai_server' AND server.id = active.provider_id
LEFT JOIN llm_api_keys AS key ON active.provider_type = 'api_key' AND key.id = active.provider_id
LEFT JOIN monitor.healths AS belief
    ON belief.provider_type = active.provider_type AND belief.provider_id = active.provider_id
    AND belief.purpose = active.purpose
LEFT JOIN monitor.keys AS noted
    ON noted.provider_type = active.provider_type AND noted.provider_id = active.provider_id
WHERE active.purpose = $1;

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
