-- The application's rows: read as they are, written sparingly.

-- name: read_servers
-- Every server. Metadata as text, since an adopted column may be json or text.
SELECT id, coalesce(name, '') AS name, server_type, base_url, api_key, model_path,
       coalesce(enabled, false) AS enabled,
       coalesce(use_for_chat, false) AS use_for_chat,
       coalesce(use_for_embeddings, false) AS use_for_embeddings,
       coalesce(use_for_reranking, false) AS use_for_reranking,
       health_status, metadata::text AS metadata
FROM ai_servers
ORDER BY id;

-- name: read_keys
-- Every key, sealed.
SELECT id, coalesce(provider, '') AS provider, coalesce(key_name, '') AS key_name,
       coalesce(encrypted_key, '') AS encrypted_key, coalesce(enabled, false) AS enabled,
       metadata::text AS metadata
FROM llm_api_keys
ORDER BY id;

-- name: read_actives
-- Who serves each purpose.
SELECT purpose, provider_type, provider_id, fallback_provider_type, fallback_provider_id
FROM active_providers
ORDER BY purpose;

-- name: read_preferences
-- Whom the operator wants, in order.
SELECT purpose, position, provider_type, provider_id
FROM monitor.preferences
ORDER BY purpose, position;

-- name: write_server_health
-- What we believe of a server: the status when it changed, the time at most once a minute, updated_at never. A row
-- that the application holds locked is left for the next time. True when nothing is left to write.
-- $1 id, $2 health_status, $3 when it was checked
WITH free AS (
    SELECT id, health_status, last_health_check
    FROM ai_servers
    WHERE id = $1
    FOR NO KEY UPDATE SKIP LOCKED
), due AS (
    SELECT id,
           health_status IS DISTINCT FROM $2::text AS status,
           coalesce(last_health_check <= ($3::timestamptz AT TIME ZONE 'UTC') - interval '1 minute', true) AS time
    FROM free
), written AS (
    UPDATE ai_servers
    SET health_status = $2::text,
        last_health_check =
            CASE WHEN due.time THEN $3::timestamptz AT TIME ZONE 'UTC' ELSE ai_servers.last_health_check END
    FROM due
    WHERE ai_servers.id = due.id AND (due.status OR due.time)
)
SELECT EXISTS (SELECT FROM free);

-- name: add_api_key
-- A new key; nothing when one of that provider and name is there.
-- $1 provider, $2 key_name, $3 encrypted_key, $4 metadata, JSON as text, $5 created_by
INSERT INTO llm_api_keys (provider, key_name, encrypted_key, metadata, created_by, created_at, updated_at)
SELECT $1::text, $2::text, $3::text, $4::text::jsonb, $5::text,
       clock_timestamp() AT TIME ZONE 'UTC', clock_timestamp() AT TIME ZONE 'UTC'
WHERE NOT EXISTS (SELECT FROM llm_api_keys WHERE provider = $1::text AND key_name = $2::text)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: add_server
-- A new server; nothing when one of that name is there.
-- $1 name, $2 server_type, $3 base_url, $4 model_path, $5 chat, $6 embeddings, $7 reranking,
-- $8 metadata, JSON as text, $9 created_by
INSERT INTO ai_servers
    (name, server_type, base_url, model_path, use_for_chat, use_for_embeddings, use_for_reranking, metadata,
     created_by, created_at, updated_at)
SELECT $1::text, $2::text, $3::text, $4::text, $5::boolean, $6::boolean, $7::boolean, $8::text::jsonb, $9::text,
       clock_timestamp() AT TIME ZONE 'UTC', clock_timestamp() AT TIME ZONE 'UTC'
WHERE NOT EXISTS (SELECT FROM ai_servers WHERE name = $1::text)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: set_active_if_absent
-- A purpose's first row; nothing when it has one.
-- $1 purpose, $2 provider_type, $3 provider_id, $4 fallback_provider_type, $5 fallback_provider_id, $6 updated_by
INSERT INTO active_providers
    (purpose, provider_type, provider_id, fallback_provider_type, fallback_provider_id, updated_by, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() AT TIME ZONE 'UTC')
ON CONFLICT DO NOTHING
RETURNING purpose;
