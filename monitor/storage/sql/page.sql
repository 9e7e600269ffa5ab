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

-- name: page_days
-- The days of some targets, a row each: which have data, the oldest first, and the minutes up and down on them.
-- $1 provider_type, $2 provider_id and $3 purpose of each target, $4 the first day
SELECT target.provider_type, target.provider_id, target.purpose, known.days, known.up, known.down
FROM unnest($1::text[], $2::integer[], $3::text[]) AS target (provider_type, provider_id, purpose)
CROSS JOIN LATERAL (
    SELECT array_agg(day ORDER BY day) AS days, array_agg(up ORDER BY day) AS up, array_agg(down ORDER BY day) AS down
    FROM monitor.uptime_days
    WHERE provider_type = target.provider_type AND provider_id = target.provider_id
        AND purpose = target.purpose AND day >= $4
) AS known
WHERE known.days IS NOT NULL;

-- name: page_hours
-- The hours of some targets, a row each: which have data, the oldest first, and the histograms of them as text.
-- $1 provider_type, $2 provider_id and $3 purpose of each target, $4 the kind of probes, $5 the first hour
SELECT target.provider_type, target.provider_id, target.purpose, known.hours, known.latency, known.ttft
FROM unnest($1::text[], $2::integer[], $3::text[]) AS target (provider_type, provider_id, purpose)
CROSS JOIN LATERAL (
    SELECT array_agg(hour ORDER BY hour) AS hours,
           array_agg(array_to_string(latency, ',') ORDER BY hour) AS latency,
           array_agg(array_to_string(ttft, ',') ORDER BY hour) AS ttft
    FROM monitor.hours
    WHERE provider_type = target.provider_type AND provider_id = target.provider_id
        AND purpose = target.purpose AND kind = $4 AND hour >= $5
) AS known
WHERE known.hours IS NOT NULL;
