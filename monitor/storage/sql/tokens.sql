-- Tokens of the HTTP API.

-- name: add_token
-- A new one; its secret is never stored.
-- $1 name, $2 role, $3 SHA-256 of the secret, $4 created_by, $5 lifetime or null
INSERT INTO monitor.tokens (name, role, secret_sha256, created_by, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + $5::interval)
RETURNING id, expires_at;

-- name: any_token
-- Whether there has ever been one.
SELECT EXISTS (SELECT FROM monitor.tokens);

-- name: lock_tokens
-- One program at a time makes the first one.
SELECT pg_advisory_xact_lock(hashtextextended('monitor.tokens', 0));

-- name: find_token
-- One that may still be used, with the seconds that it has left (null without an end), and whether its use is to be
-- noted.
-- $1 id
SELECT id, name, role, secret_sha256,
       extract(epoch FROM expires_at - clock_timestamp())::float8 AS left_seconds,
       coalesce(last_used_at < clock_timestamp() - interval '1 minute', TRUE) AS note_use
FROM monitor.tokens
WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp());

-- name: note_token_use
-- At most once a minute.
-- $1 id
UPDATE monitor.tokens
SET last_used_at = clock_timestamp()
WHERE id = $1 AND coalesce(last_used_at < clock_timestamp() - interval '1 minute', TRUE);

-- name: list_tokens
-- All that there have ever been.
SELECT id, name, role, created_at, created_by, expires_at, revoked_at, revoked_by, last_used_at,
       CASE
           WHEN revoked_at IS NOT NULL THEN 'revoked'
           WHEN expires_at <= clock_timestamp() THEN 'expired'
           ELSE 'valid'
       END AS state
FROM monitor.tokens
ORDER BY id;

-- name: revoke_token
-- For good; nothing when it is revoked already, or unknown.
-- $1 id, $2 revoked_by
UPDATE monitor.tokens
SET revoked_at = clock_timestamp(), revoked_by = $2
WHERE id = $1 AND revoked_at IS NULL
RETURNING name;
