-- The keys of hosted providers, as a person manages them.

-- name: list_api_keys
-- Keys with all their columns. Metadata as text, since an adopted column may be json or text.
-- $1 only this id, or NULL; $2 whether only enabled ones
SELECT id, coalesce(provider, '') AS provider, coalesce(key_name, '') AS key_name,
       coalesce(encrypted_key, '') AS encrypted_key, coalesce(enabled, FALSE) AS enabled,
       coalesce(use_for_ops_center, FALSE) AS use_for_ops_center, last_used,
       coalesce(requests_count, 0)::bigint AS requests_count, coalesce(tokens_used, 0)::bigint AS tokens_used,
       coalesce(nullif(cost_usd, 'NaN'), 0)::float8 AS cost_usd,
       metadata::text AS metadata, created_by, created_at, updated_at
FROM llm_api_keys
WHERE ($1::integer IS NULL OR id = $1::integer) AND (NOT $2::boolean OR enabled)
ORDER BY id;

-- name: lock_api_key
-- A key's row, held until the end of the transaction.
-- $1 id
SELECT id FROM llm_api_keys WHERE id = $1::integer FOR UPDATE;

-- name: insert_api_key
-- A new key; the unique name is the table's to hold, and ours where an adopted table does not.
-- $1 provider, $2 key_name, $3 encrypted_key, $4 enabled, $5 use_for_ops_center, $6 metadata, JSON as text,
-- $7 created_by
INSERT INTO llm_api_keys
    (provider, key_name, encrypted_key, enabled, use_for_ops_center, metadata, created_by, created_at, updated_at)
SELECT $1::text, $2::text, $3::text, $4::boolean, $5::boolean, $6::text::jsonb, $7::text,
       clock_timestamp() AT TIME ZONE 'UTC', clock_timestamp() AT TIME ZONE 'UTC'
WHERE NOT EXISTS (SELECT FROM llm_api_keys WHERE provider = $1::text AND key_name = $2::text)
RETURNING id;

-- name: update_api_key
-- The columns of a key but for the key itself and its metadata.
-- $1 id, $2 provider, $3 key_name, $4 enabled, $5 use_for_ops_center
UPDATE llm_api_keys
SET provider = $2::text,
    key_name = $3::text,
    enabled = $4::boolean,
    use_for_ops_center = $5::boolean,
    updated_at = clock_timestamp() AT TIME ZONE 'UTC'
WHERE id = $1::integer
    AND NOT EXISTS (
        SELECT FROM llm_api_keys AS other
        WHERE other.provider = $2::text AND other.key_name = $3::text AND other.id <> $1::integer
    )
RETURNING id;

-- name: update_encrypted_key
-- The key itself, sealed.
-- $1 id, $2 encrypted_key
UPDATE llm_api_keys SET encrypted_key = $2::text WHERE id = $1::integer;

-- name: update_api_key_metadata
-- A key's metadata.
-- $1 id, $2 metadata, JSON as text
UPDATE llm_api_keys SET metadata = $2::text::jsonb WHERE id = $1::integer;

-- name: delete_api_key
-- A key.
-- $1 id
DELETE FROM llm_api_keys WHERE id = $1::integer;
