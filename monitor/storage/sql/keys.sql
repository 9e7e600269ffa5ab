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
