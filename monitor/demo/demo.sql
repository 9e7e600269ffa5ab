-- What the demo writes as an application would, and the facts it tells its story from.

-- name: put_server
-- A demo server's row; its port is another one at every start.
-- $1 name, $2 base_url, $3 model_path
INSERT INTO ai_servers (name, server_type, base_url, model_path, enabled, use_for_chat, created_by)
VALUES ($1, 'openai-compatible', $2, $3, TRUE, TRUE, 'demo')
ON CONFLICT (name) DO UPDATE SET
    server_type = excluded.server_type,
    base_url = excluded.base_url,
    model_path = excluded.model_path,
    enabled = TRUE,
    use_for_chat = TRUE,
    api_key = NULL,
    metadata = '{}'
RETURNING id;

-- name: put_active
-- The first serves chat, the second is its fallback.
-- $1 primary's id, $2 fallback's id
INSERT INTO active_providers
    (purpose, provider_type, provider_id, fallback_provider_type, fallback_provider_id, updated_by)
VALUES ('chat', 'ai_server', $1, 'ai_server', $2, 'demo')
ON CONFLICT (purpose) DO UPDATE SET
    provider_type = excluded.provider_type,
    provider_id = excluded.provider_id,
    fallback_provider_type = excluded.fallback_provider_type,
    fallback_provider_id = excluded.fallback_provider_id,
    updated_by = excluded.updated_by,
    updated_at = clock_timestamp() AT TIME ZONE 'UTC';

-- name: begin_story
-- The newest move before the story begins, and the time at which it does.
SELECT coalesce(max(id), 0) AS told, clock_timestamp() AS begun_at FROM monitor.transitions;

-- name: read_serving
-- The name of what serves chat, from the application's own row, and whether it was found unfit with nobody else.
SELECT servers.name, coalesce(purposes.stranded_since IS NOT NULL, FALSE) AS stranded
FROM active_providers AS active
LEFT JOIN monitor.purposes AS purposes ON purposes.purpose = active.purpose
JOIN ai_servers AS servers ON active.provider_type = 'ai_server' AND servers.id = active.provider_id
WHERE active.purpose = 'chat';

-- name: read_beliefs
-- What is believed of each server, unless it was believed before the story began.
-- $1 when it began
SELECT servers.name, healths.state, healths.eligible
FROM monitor.healths AS healths
JOIN ai_servers AS servers ON healths.provider_type = 'ai_server' AND servers.id = healths.provider_id
WHERE healths.purpose = 'chat' AND healths.updated_at >= $1;

-- name: read_probes
-- The deep probes of the last minute, oldest first; none from before the story began.
-- $1 when it began
SELECT servers.name, results.outcome, results.http_status, results.latency_seconds,
       results.started_at, results.ended_at
FROM monitor.results AS results
JOIN ai_servers AS servers ON results.provider_type = 'ai_server' AND servers.id = results.provider_id
WHERE results.kind = 'deep' AND results.purpose = 'chat'
    AND results.started_at > greatest($1, clock_timestamp() - interval '1 minute')
ORDER BY results.started_at;

-- name: read_transitions
-- The moves since the last one that was told.
-- $1 its id
SELECT id, generation, rule, from_name, to_name, reason, failure_began_at, committed_at
FROM monitor.transitions
WHERE purpose = 'chat' AND id > $1
ORDER BY id;
