-- What the status page shows besides the status itself.

-- name: page_readings
-- What the last answers of each target told of credit, limits and certificates, newest first.
-- $1 provider_type, $2 provider_id and $3 purpose of each target, $4 the kinds of probes, $5 how far to look back
SELECT last.provider_type, last.provider_id, last.started_at, last.readings
FROM unnest($1::text[], $2::integer[], $3::text[]) AS target (provider_type, provider_id, purpose)
CROSS JOIN unnest($4::text[]) AS wanted (kind)
CROSS JOIN LATERAL (
    SELECT provider_type, provider_id, started_at, readings
    FROM monitor.results
    WHERE provider_type = target.provider_type AND provider_id = target.provider_id
        AND purpose = target.purpose AND kind = wanted.kind AND started_at > $5
    ORDER BY started_at DESC
    LIMIT 3
) AS last
WHERE last.readings <> '{}'
ORDER BY last.started_at DESC;
