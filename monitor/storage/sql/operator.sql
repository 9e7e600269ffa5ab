-- What an operator does to a purpose, in one transaction each.

-- name: bound_act
-- How long an act waits for somebody else's lock.
SELECT set_config('lock_timeout', '5s', true);

-- name: create_active
-- A purpose's first row; nothing when it has one.
-- $1 purpose, $2 provider_type, $3 provider_id, $4 fallback_provider_type, $5 fallback_provider_id, $6 updated_by
INSERT INTO active_providers
    (purpose, provider_type, provider_id, fallback_provider_type, fallback_provider_id, updated_by, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() AT TIME ZONE 'UTC')
ON CONFLICT DO NOTHING
RETURNING purpose;

-- name: lock_purpose
-- What we keep of a purpose, held until the end of the transaction: always after the application's row.
-- $1 purpose
SELECT purpose, generation, provider_type, provider_id, fallback_provider_type, fallback_provider_id,
       since, rule, chosen_at, stranded_since, paused_at, pinned_provider_type, pinned_provider_id, pinned_until,
       act, act_taken, chosen_act, ordered_act, ordered_at, held_at, held_until
FROM monitor.purposes
WHERE purpose = $1
FOR UPDATE;

-- name: read_order
-- The order that a purpose's operator wants.
-- $1 purpose
SELECT provider_type, provider_id
FROM monitor.preferences
WHERE purpose = $1
ORDER BY position;

-- name: last_act
-- The number of the last act of all.
SELECT coalesce(max(id), 0) FROM monitor.acts;

-- name: next_act
-- A number after that of every act so far, for an edit that was found.
SELECT nextval(pg_get_serial_sequence('monitor.acts', 'id'));

-- name: record_act
-- One act; its number. Numbers of one purpose's acts ascend: its row is locked.
-- $1 at, $2 act, $3 purpose, $4 provider_type, $5 provider_id, $6 user_id, $7 reason, $8 via, $9 detail as JSON text
INSERT INTO monitor.acts (at, act, purpose, provider_type, provider_id, user_id, reason, via, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb)
RETURNING id;

-- name: write_act
-- A purpose after an act.
-- $1 purpose, $2 act, $3 generation, $4 provider_type, $5 provider_id, $6 fallback_provider_type,
-- $7 fallback_provider_id, $8 since, $9 rule, $10 chosen_at, $11 chosen_act, $12 ordered_at, $13 ordered_act,
-- $14 stranded_since, $15 paused, $16 who paused it, $17 pinned_provider_type, $18 pinned_provider_id, $19 pinned_until,
-- $20 held, $21 held_until, $22 now
UPDATE monitor.purposes
SET act = $2,
    generation = $3,
    provider_type = $4,
    provider_id = $5,
    fallback_provider_type = $6,
    fallback_provider_id = $7,
    since = $8,
    rule = $9,
    chosen_at = $10,
    chosen_act = $11,
    ordered_at = $12,
    ordered_act = $13,
    stranded_since = $14,
    paused_at = CASE WHEN $15::boolean THEN coalesce(paused_at, $22::timestamptz) END,
    paused_by = CASE WHEN $15::boolean THEN coalesce(paused_by, $16::text) END,
    pinned_provider_type = $17,
    pinned_provider_id = $18,
    pinned_until = $19,
    held_at = CASE WHEN $20::boolean THEN coalesce(held_at, $22::timestamptz) END,
    held_until = $21,
    updated_at = clock_timestamp()
WHERE purpose = $1;

-- name: take_acts
-- A deciding daemon has taken up what operators did: from here on a choice and an order have an instant of its clock.
-- $1 purpose, $2 the act it has seen, $3 chosen_at, $4 ordered_at
UPDATE monitor.purposes
SET act_taken = $2, chosen_at = $3, ordered_at = $4, updated_at = clock_timestamp()
WHERE purpose = $1 AND act = $2
RETURNING purpose;

-- name: act_providers
-- What is known of some providers in a purpose: their rows, what is believed of them, their maintenance.
-- $1 purpose, $2 types, $3 ids
SELECT
    provider.provider_type, provider.provider_id, provider.name, provider.enabled, provider.metadata,
    belief.state, belief.eligible, belief.block, belief.last_outcome, belief.fingerprint,
    coalesce((belief.health ->> 'stale_at')::timestamptz <= clock_timestamp(), FALSE) AS stale,
    coalesce(
        span.starts_at <= clock_timestamp() AND (span.ends_at IS NULL OR span.ends_at > clock_timestamp()), FALSE
    ) AS in_maintenance,
    reference.vector
FROM (
    SELECT 'ai_server' AS provider_type, id AS provider_id, coalesce(name, '')::text AS name,
           coalesce(enabled, FALSE) AS enabled, metadata::text AS metadata
    FROM ai_servers
    UNION ALL
    SELECT 'api_key', id, concat(provider, '/', key_name), coalesce(enabled, FALSE), metadata::text
    FROM llm_api_keys
) AS provider
JOIN unnest($2::text[], $3::integer[]) AS wanted (provider_type, provider_id)
    ON wanted.provider_type = provider.provider_type AND wanted.provider_id = provider.provider_id
LEFT JOIN monitor.healths AS belief
    ON belief.provider_type = provider.provider_type
    AND belief.provider_id = provider.provider_id
    AND belief.purpose = $1
LEFT JOIN monitor.maintenance AS span
    ON span.provider_type = provider.provider_type AND span.provider_id = provider.provider_id
LEFT JOIN monitor.embedding_references AS reference
    ON $1 = 'embeddings'
    AND reference.provider_type = provider.provider_type
    AND reference.provider_id = provider.provider_id
    AND reference.fingerprint = belief.fingerprint;

-- name: lock_all_active
-- Every row that names who serves, in one order: for an act that may concern all purposes.
SELECT purpose FROM active_providers ORDER BY purpose FOR UPDATE;

-- name: purposes_naming
-- The purposes that name a provider: to serve, or in their order.
-- $1 provider_type, $2 provider_id
SELECT known.purpose
FROM monitor.purposes AS known
WHERE (known.provider_type = $1 AND known.provider_id = $2)
    OR EXISTS (
        SELECT FROM active_providers AS row
        WHERE row.purpose = known.purpose AND row.provider_type = $1 AND row.provider_id = $2
    )
    OR EXISTS (
        SELECT FROM monitor.preferences AS wanted
        WHERE wanted.purpose = known.purpose AND wanted.provider_type = $1 AND wanted.provider_id = $2
    )
ORDER BY known.purpose
FOR UPDATE OF known;

-- name: note_maintenance
-- Those purposes hear of the act.
-- $1 act, $2 purposes
UPDATE monitor.purposes SET act = $1, updated_at = clock_timestamp() WHERE purpose = ANY($2::text[]);

-- name: server_name
-- A server's name; nothing when there is no such row.
-- $1 id
SELECT coalesce(name, '')::text FROM ai_servers WHERE id = $1;

-- name: key_name
-- A key's name; nothing when there is no such row.
-- $1 id
SELECT concat(provider, '/', key_name)::text FROM llm_api_keys WHERE id = $1;

-- name: read_maintenance
-- The maintenance of one provider.
-- $1 provider_type, $2 provider_id
SELECT starts_at, ends_at, act
FROM monitor.maintenance
WHERE provider_type = $1 AND provider_id = $2;

-- name: load_maintenance
-- Every maintenance that is planned, lasts, or ended a while ago.
SELECT provider_type, provider_id, starts_at, ends_at, act, user_id, reason
FROM monitor.maintenance
ORDER BY provider_type, provider_id;

-- name: write_maintenance
-- A provider's maintenance, over the one before.
-- $1 provider_type, $2 provider_id, $3 starts_at, $4 ends_at or NULL, $5 act, $6 user_id, $7 reason
INSERT INTO monitor.maintenance (provider_type, provider_id, starts_at, ends_at, act, user_id, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (provider_type, provider_id) DO UPDATE SET
    starts_at = excluded.starts_at,
    ends_at = excluded.ends_at,
    act = excluded.act,
    user_id = excluded.user_id,
    reason = excluded.reason;

-- name: delete_maintenance
-- A maintenance that had not begun.
-- $1 provider_type, $2 provider_id
DELETE FROM monitor.maintenance WHERE provider_type = $1 AND provider_id = $2;

-- name: prune_maintenance
-- Those that ended before an instant.
-- $1 instant
DELETE FROM monitor.maintenance WHERE ends_at < $1;

-- name: list_acts
-- What operators did that concerns a purpose: to it, or to a provider that it names or named.
-- $1 purpose, $2 since, $3 until
SELECT id, at, act, purpose, provider_type, provider_id, user_id, reason, via, detail::text AS detail
FROM monitor.acts
WHERE at >= $2 AND at <= $3 AND (purpose = $1 OR (purpose IS NULL AND detail -> 'purposes' ? $1))
ORDER BY id;
