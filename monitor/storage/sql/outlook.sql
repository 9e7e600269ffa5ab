-- What a person looks at before an act: read alone, nothing is locked.

-- name: outlook_believed
-- The providers of which something is believed in a purpose.
-- $1 purpose, $2 how many at most
SELECT belief.provider_type, belief.provider_id
FROM monitor.healths AS belief
WHERE belief.purpose = $1
ORDER BY belief.eligible DESC, belief.provider_type, belief.provider_id
LIMIT $2;

-- name: outlook_provider
-- A provider's name, whether it is enabled, for which purposes it is probed, and its maintenance.
-- $1 provider_type, $2 provider_id
SELECT
    provider.name, provider.enabled,
    ARRAY(
        SELECT belief.purpose FROM monitor.healths AS belief
        WHERE belief.provider_type = $1 AND belief.provider_id = $2 AND belief.purpose <> 'none'
        ORDER BY belief.purpose
    ) AS purposes,
    ARRAY(
        SELECT active.purpose FROM active_providers AS active
        WHERE active.provider_type = $1 AND active.provider_id = $2
        ORDER BY active.purpose
    ) AS serves,
    span.starts_at, span.ends_at, span.act, span.user_id, span.reason
FROM (
    SELECT 'ai_server' AS provider_type, id AS provider_id, coalesce(name, '') AS name,
           coalesce(enabled, FALSE) AS enabled
    FROM ai_servers
    UNION ALL
    SELECT 'api_key', id, concat(provider, '/', key_name), coalesce(enabled, FALSE)
    FROM llm_api_keys
) AS provider
LEFT JOIN monitor.maintenance AS span
    ON span.provider_type = provider.provider_type AND span.provider_id = provider.provider_id
WHERE provider.provider_type = $1 AND provider.provider_id = $2;
