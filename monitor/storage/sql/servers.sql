-- The application's own servers, as a person manages them.

-- name: list_servers
-- Servers with all their columns. Metadata as text, since an adopted column may be json or text.
-- $1 only this id, or NULL; $2 whether only enabled ones
SELECT id, coalesce(name, '') AS name, coalesce(server_type, '') AS server_type, coalesce(base_url, '') AS base_url,
       api_key, model_path, coalesce(enabled, FALSE) AS enabled,
       coalesce(use_for_chat, FALSE) AS use_for_chat,
       coalesce(use_for_embeddings, FALSE) AS use_for_embeddings,
       coalesce(use_for_reranking, FALSE) AS use_for_reranking,
       last_health_check, health_status, metadata::text AS metadata, created_by, created_at, updated_at
FROM ai_servers
WHERE ($1::integer IS NULL OR id = $1::integer) AND (NOT $2::boolean OR enabled)
ORDER BY id;

-- name: lock_server
-- A server's row, held until the end of the transaction.
-- $1 id
SELECT id FROM ai_servers WHERE id = $1::integer FOR UPDATE;

-- name: insert_server
-- A new server; the unique name is the table's to hold, and ours where an adopted table does not.
-- $1 name, $2 server_type, $3 base_url, $4 api_key, $5 model_path, $6 enabled, $7 chat, $8 embeddings, $9 reranking,
-- $10 metadata, JSON as text, $11 created_by
INSERT INTO ai_servers
    (name, server_type, base_url, api_key, model_path, enabled, use_for_chat, use_for_embeddings, use_for_reranking,
     metadata, created_by, created_at, updated_at)
SELECT $1::text, $2::text, $3::text, $4::text, $5::text, $6::boolean, $7::boolean, $8::boolean, $9::boolean,
       $10::text::jsonb, $11::text, clock_timestamp() AT TIME ZONE 'UTC', clock_timestamp() AT TIME ZONE 'UTC'
WHERE NOT EXISTS (SELECT FROM ai_servers WHERE name = $1::text)
RETURNING id;

-- name: update_server
-- The columns of a server but for its key and its metadata.
-- $1 id, $2 name, $3 server_type, $4 base_url, $5 model_path, $6 enabled, $7 chat, $8 embeddings, $9 reranking
UPDATE ai_servers
SET name = $2::text,
    server_type = $3::text,
    base_url = $4::text,
    model_path = $5::text,
    enabled = $6::boolean,
    use_for_chat = $7::boolean,
    use_for_embeddings = $8::boolean,
    use_for_reranking = $9::boolean,
    updated_at = clock_timestamp() AT TIME ZONE 'UTC'
WHERE id = $1::integer
    AND NOT EXISTS (SELECT FROM ai_servers AS other WHERE other.name = $2::text AND other.id <> $1::integer)
RETURNING id;

-- name: update_server_key
-- A server's key, sealed, or none.
-- $1 id, $2 api_key
UPDATE ai_servers SET api_key = $2::text WHERE id = $1::integer;

-- name: update_server_metadata
-- A server's metadata.
-- $1 id, $2 metadata, JSON as text
UPDATE ai_servers SET metadata = $2::text::jsonb WHERE id = $1::integer;

-- name: delete_server
-- A server.
-- $1 id
DELETE FROM ai_servers WHERE id = $1::integer;
