-- Who serves each purpose, what its operator wants, and every move.

-- name: load_purposes
-- What we last saw or wrote of each purpose.
SELECT purpose, generation, provider_type, provider_id, fallback_provider_type, fallback_provider_id,
       since, rule, chosen_at, stranded_since, paused_at, pinned_provider_type, pinned_provider_id, pinned_until,
       act, act_taken, chosen_act, ordered_act, ordered_at, held_at, held_until
FROM monitor.purposes;

-- name: load_switches
-- The automatic moves since an instant, oldest first.
-- $1 since, $2 the rules that move by themselves
SELECT purpose, decided_at, from_provider_type, from_provider_id, to_provider_type, to_provider_id
FROM monitor.transitions
WHERE decided_at >= $1 AND rule = ANY($2::text[])
ORDER BY decided_at, id;

-- name: lock_active
-- The application's row of a purpose, held until the end of the transaction: always the first lock.
-- $1 purpose
SELECT provider_type, provider_id, fallback_provider_type, fallback_provider_id
FROM active_providers
WHERE purpose = $1
FOR UPDATE;

-- name: write_active
-- Who serves and who is next, in the application's own row.
-- $1 purpose, $2 provider_type, $3 provider_id, $4 fallback_provider_type, $5 fallback_provider_id, $6 updated_by
UPDATE active_providers
SET provider_type = $2,
    provider_id = $3,
    fallback_provider_type = $4,
    fallback_provider_id = $5,
    updated_by = $6,
    updated_at = clock_timestamp() AT TIME ZONE 'UTC'
WHERE purpose = $1;

-- name: is_enabled_server
-- Whether a server still stands and is enabled.
-- $1 id
SELECT enabled FROM ai_servers WHERE id = $1;

-- name: is_enabled_key
-- Whether a key still stands and is enabled.
-- $1 id
SELECT enabled FROM llm_api_keys WHERE id = $1;

-- name: load_purpose_healths
-- The stored beliefs of a purpose, for the second look inside the transaction.
-- $1 purpose
SELECT provider_type, provider_id, health
FROM monitor.healths
WHERE purpose = $1;

-- name: advance_purpose
-- Our own state after a move, if nobody moved and no operator acted in between.
-- $1 purpose, $2 the generation seen, $3 provider_type, $4 provider_id, $5 fallback_provider_type,
-- $6 fallback_provider_id, $7 since, $8 rule, $9 the act seen
UPDATE monitor.purposes
SET generation = generation + 1,
    provider_type = $3,
    provider_id = $4,
    fallback_provider_type = $5,
    fallback_provider_id = $6,
    since = $7,
    rule = $8,
    stranded_since = NULL,
    updated_at = clock_timestamp()
WHERE purpose = $1 AND generation = $2 AND act = $9
RETURNING generation;

-- name: record_transition
-- One move, with its evidence, kept for good.
-- $1 purpose, $2 generation, $3 rule, $4 from type, $5 from id, $6 from name, $7 to type, $8 to id, $9 to name,
-- $10 reason, $11 failure_began_at, $12 decided_at, $13 instance, $14 policy and $15 evidence as JSON text
INSERT INTO monitor.transitions
    (purpose, generation, rule, from_provider_type, from_provider_id, from_name,
     to_provider_type, to_provider_id, to_name, reason, failure_began_at, decided_at, instance, policy, evidence)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
        $14::text::jsonb, $15::text::jsonb);

-- name: adopt_purpose
-- A purpose's row as an operator wrote it: a new generation when it names another provider to serve.
-- $1 purpose, $2 provider_type, $3 provider_id, $4 fallback_provider_type, $5 fallback_provider_id, $6 since,
-- $7 rule, $8 whether it names who serves, $9 the last act before it, $10 whether a deciding daemon writes this
INSERT INTO monitor.purposes
    (purpose, generation, provider_type, provider_id, fallback_provider_type, fallback_provider_id,
     since, rule, chosen_at, act, act_taken)
VALUES ($1, 1, $2, $3, $4, $5, $6, $7, NULL, $9::bigint, CASE WHEN $10 THEN $9::bigint ELSE 0 END)
ON CONFLICT (purpose) DO UPDATE SET
    generation = monitor.purposes.generation + CASE WHEN $8 THEN 1 ELSE 0 END,
    provider_type = excluded.provider_type,
    provider_id = excluded.provider_id,
    fallback_provider_type = excluded.fallback_provider_type,
    fallback_provider_id = excluded.fallback_provider_id,
    since = CASE WHEN $8 THEN excluded.since ELSE monitor.purposes.since END,
    rule = CASE WHEN $8 THEN excluded.rule ELSE monitor.purposes.rule END,
    chosen_at = CASE WHEN $8 THEN excluded.since ELSE monitor.purposes.chosen_at END,
    stranded_since = CASE WHEN $8 THEN NULL ELSE monitor.purposes.stranded_since END,
    pinned_provider_type = CASE WHEN NOT $8 THEN monitor.purposes.pinned_provider_type END,
    pinned_provider_id = CASE WHEN NOT $8 THEN monitor.purposes.pinned_provider_id END,
    pinned_until = CASE WHEN NOT $8 THEN monitor.purposes.pinned_until END,
    held_at = CASE WHEN NOT $8 THEN monitor.purposes.held_at END,
    held_until = CASE WHEN NOT $8 THEN monitor.purposes.held_until END,
    act = $9::bigint,
    act_taken = CASE WHEN $10 THEN $9::bigint ELSE monitor.purposes.act_taken END,
    chosen_act = CASE WHEN $8 THEN $9::bigint ELSE monitor.purposes.chosen_act END,
    updated_at = clock_timestamp()
RETURNING generation;

-- name: clear_preference
-- Room for a purpose's new order.
-- $1 purpose
DELETE FROM monitor.preferences WHERE purpose = $1;

-- name: add_preference
-- One place in a purpose's order.
-- $1 purpose, $2 position from 1, $3 provider_type, $4 provider_id
INSERT INTO monitor.preferences (purpose, position, provider_type, provider_id)
VALUES ($1, $2, $3, $4);

-- name: forget_purpose
-- A purpose whose row the application deleted; its generation stays, so that its moves stay numbered.
-- $1 purpose
UPDATE monitor.purposes
SET provider_type = NULL,
    provider_id = NULL,
    fallback_provider_type = NULL,
    fallback_provider_id = NULL,
    since = NULL,
    rule = NULL,
    stranded_since = NULL,
    updated_at = clock_timestamp()
WHERE purpose = $1;

-- name: mark_stranded
-- Nobody serves since $2, NULL withdraws it; nothing when an operator has acted meanwhile.
-- $1 purpose, $2 since or NULL, $3 the act seen
UPDATE monitor.purposes
SET stranded_since = $2, updated_at = clock_timestamp()
WHERE purpose = $1 AND act = $3
RETURNING purpose;
