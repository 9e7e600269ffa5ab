-- What the status page shows besides the status itself.

-- name: page_readings
-- What the last answers of each target told of credit, limits and certificates, newest first.
-- $1 provider_type, $2 provider_id and $3 purpose of each target, $4 the kinds of probes, $5 how far to look back,
-- $6 an instant after them all, which leaves the partitions of days to come alone
SELECT last.provider_type, last.provider_id, last.started_at, last.readings
FROM unnest($1::text[], $2::integer[], $3::text[]) AS target (provider_type, provider_id, purpose)
CROSS JOIN unnest($4::text[]) AS wanted (kind)
CROSS JOIN LATERAL (
    SELECT provider_type, provider_id, started_at, readings
    FROM monitor.results
    WHERE provider_type = target.provider_type AND provider_id = target.provider_id
        AND purpose = target.purpose AND kind = wanted.kind AND started_at > $5 AND started_at < $6
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
-- The hours of some targets, a row each, as one text: those that have data, the oldest first, each with its number
-- since 1970 and its histograms.
-- $1 provider_type, $2 provider_id and $3 purpose of each target, $4 the kind of probes, $5 the first hour
SELECT target.provider_type, target.provider_id, target.purpose, known.hours
FROM unnest($1::text[], $2::integer[], $3::text[]) AS target (provider_type, provider_id, purpose)
CROSS JOIN LATERAL (
    SELECT string_agg(
               concat(extract(epoch FROM hour)::bigint / 3600, ':', array_to_string(latency, ','),
                      ':', array_to_string(ttft, ',')),
               ';' ORDER BY hour) AS hours
    FROM monitor.hours
    WHERE provider_type = target.provider_type AND provider_id = target.provider_id
        AND purpose = target.purpose AND kind = $4 AND hour >= $5
) AS known
WHERE known.hours IS NOT NULL;
