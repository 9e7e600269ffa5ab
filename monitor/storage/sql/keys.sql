-- What we know of the stored keys; never a key.

-- name: read_key_notes
-- Every sealed key that this program wrote.
SELECT provider_type, provider_id, sealed_sha256, identity FROM monitor.keys;

-- name: read_key_salt
-- What goes into the identity of a key in plain text.
SELECT salt FROM monitor.key_salt;

-- name: note_key_written
-- This program wrote a sealed key into a row; the same text again changes nothing.
-- $1 provider_type, $2 provider_id, $3 hash of the sealed text, $4 identity
INSERT INTO monitor.keys (provider_type, provider_id, sealed_sha256, identity)
VALUES ($1, $2, $3, $4)
ON CONFLICT (provider_type, provider_id) DO UPDATE
SET sealed_sha256 = excluded.sealed_sha256, identity = excluded.identity, written_at = clock_timestamp()
WHERE keys.sealed_sha256 <> excluded.sealed_sha256;

-- name: forget_key
-- A row that is gone, or holds no key any more.
-- $1 provider_type, $2 provider_id
DELETE FROM monitor.keys WHERE provider_type = $1 AND provider_id = $2;

-- name: forget_keys_of_deleted_rows
-- Those whose rows are gone, whoever deleted them.
DELETE FROM monitor.keys AS one
WHERE (provider_type = 'api_key' AND NOT EXISTS (SELECT FROM llm_api_keys WHERE id = one.provider_id))
   OR (provider_type = 'ai_server' AND NOT EXISTS (SELECT FROM ai_servers WHERE id = one.provider_id));

-- name: read_stored_keys
-- Every key that is stored, sealed or not, and whose it is.
SELECT 'ai_server' AS provider_type, id AS provider_id, coalesce(name, '') AS name, api_key AS text
FROM ai_servers WHERE api_key <> ''
UNION ALL
SELECT 'api_key', id, concat_ws('/', provider, key_name), encrypted_key
FROM llm_api_keys WHERE encrypted_key <> ''
ORDER BY 1, 2;

-- name: lock_server_keys
-- Nobody else writes a server's row until the transaction ends; readers go on.
SELECT id FROM ai_servers WHERE api_key <> '' ORDER BY id FOR NO KEY UPDATE;

-- name: lock_api_keys
-- The same for the rows of hosted providers' keys.
SELECT id FROM llm_api_keys WHERE encrypted_key <> '' ORDER BY id FOR NO KEY UPDATE;

-- name: reseal_server_key
-- The same key, sealed otherwise: whoever changed the row last, and when, stays.
-- $1 id, $2 sealed key
UPDATE ai_servers SET api_key = $2::text WHERE id = $1;

-- name: reseal_api_key
-- The same for a hosted provider's key.
-- $1 id, $2 sealed key
UPDATE llm_api_keys SET encrypted_key = $2::text WHERE id = $1;

-- name: try_lock_sealing
-- One program at a time seals keys anew; the lock ends with the session.
SELECT pg_try_advisory_lock(hashtextextended('monitor.sealing', 0));
