-- What every change by a person has in common.

-- name: limit_waiting
-- A person waits for an answer: a row that somebody holds locked for longer is an answer too. Ends with the transaction.
SELECT set_config('lock_timeout', '5s', true), set_config('statement_timeout', '10s', true);

-- name: read_text_limits
-- The columns of tables that hold texts up to a length only.
-- $1 table names
SELECT wanted.name AS table_name, columns.attname::text AS column_name, columns.atttypmod - 4 AS most
FROM unnest($1::text[]) AS wanted (name)
JOIN pg_catalog.pg_attribute AS columns
    ON columns.attrelid = to_regclass(wanted.name) AND columns.attnum > 0 AND NOT columns.attisdropped
WHERE columns.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND columns.atttypmod > 4
ORDER BY wanted.name, columns.attnum;

-- name: lock_uses
-- Every purpose's row, always in this order and before anything else, so that nobody becomes named meanwhile.
SELECT purpose
FROM active_providers
ORDER BY purpose
FOR UPDATE;

-- name: lock_providers
-- Whoever deletes a provider, and whoever gives a purpose its first row, which nobody can lock yet: one at a time.
SELECT pg_advisory_xact_lock(hashtextextended('monitor.providers', 0));

-- name: find_uses
-- The purposes that name a provider to serve, as the fallback, as a candidate or by a pin.
-- $1 provider_type, $2 provider_id
SELECT wanted.purpose
FROM active_providers AS wanted
LEFT JOIN monitor.purposes AS seen ON seen.purpose = wanted.purpose
WHERE (wanted.provider_type = $1::text AND wanted.provider_id = $2::integer)
    OR (wanted.fallback_provider_type = $1::text AND wanted.fallback_provider_id = $2::integer)
    OR (seen.pinned_provider_type = $1::text AND seen.pinned_provider_id = $2::integer
        AND coalesce(seen.pinned_until > clock_timestamp(), TRUE))
    OR EXISTS (
        SELECT FROM monitor.preferences AS candidate
        WHERE candidate.purpose = wanted.purpose
            AND candidate.provider_type = $1::text AND candidate.provider_id = $2::integer
    )
ORDER BY wanted.purpose;

-- name: forget_candidate
-- A deleted provider leaves the orders of purposes that nobody serves any more.
-- $1 provider_type, $2 provider_id
DELETE FROM monitor.preferences WHERE provider_type = $1::text AND provider_id = $2::integer;
