-- What we believe of each target.

-- name: load_healths
-- Every belief, for the start.
SELECT provider_type, provider_id, purpose, health
FROM monitor.healths;

-- name: load_healths_of
-- The beliefs of some providers in a purpose.
-- $1 purpose, $2 and $3 provider_type and provider_id of each
SELECT provider_type, provider_id, purpose, health
FROM monitor.healths
WHERE purpose = $1
    AND (provider_type, provider_id) IN (
        SELECT wanted.type, wanted.id FROM unnest($2::text[], $3::integer[]) AS wanted (type, id)
    );

-- name: save_health
-- One belief; the columns beside `health` are for people and pages.
-- $1 provider_type, $2 provider_id, $3 purpose or 'none', $4 fingerprint, $5 state, $6 since, $7 eligible,
-- $8 last_outcome, $9 last_started_at, $10 warnings, $11 block, $12 application_status, $13 health
INSERT INTO monitor.healths
    (provider_type, provider_id, purpose, fingerprint, state, since, eligible,
     last_outcome, last_started_at, warnings, block, application_status, health, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, clock_timestamp())
ON CONFLICT (provider_type, provider_id, purpose) DO UPDATE SET
    fingerprint = excluded.fingerprint,
    state = excluded.state,
    since = excluded.since,
    eligible = excluded.eligible,
    last_outcome = excluded.last_outcome,
    last_started_at = excluded.last_started_at,
    warnings = excluded.warnings,
    block = excluded.block,
    application_status = excluded.application_status,
    health = excluded.health,
    updated_at = excluded.updated_at;

-- name: forget_health
-- The belief of a target that is no longer wanted.
-- $1 provider_type, $2 provider_id, $3 purpose or 'none'
DELETE FROM monitor.healths
WHERE provider_type = $1 AND provider_id = $2 AND purpose = $3;
