-- What is kept of results by the hour and by the day.

-- name: read_days
-- Targets' days, oldest first; a day may have sums without minutes, or minutes without sums (a word that held on).
-- $1 first day, $2 last day, $3 kind, $4 and $5 only of these providers: types and ids, or null for all
SELECT provider_type, provider_id, purpose, day, coalesce(up, 0) AS up, coalesce(down, 0) AS down,
       coalesce(passed, 0) AS passed, coalesce(failed, 0) AS failed, counts, latency, ttft, tokens_in, tokens_out, cost_usd
FROM (
    SELECT provider_type, provider_id, purpose, day, counts, latency, ttft, tokens_in, tokens_out, cost_usd
    FROM monitor.days
    WHERE day >= $1 AND day <= $2 AND kind = $3
        AND ($4::text[] IS NULL
            OR (provider_type, provider_id) IN (SELECT type, id FROM unnest($4::text[], $5::integer[]) AS one (type, id)))
) AS sums
FULL JOIN (
    SELECT provider_type, provider_id, purpose, day, up, down, passed, failed
    FROM monitor.uptime_days
    WHERE day >= $1 AND day <= $2
        AND ($4::text[] IS NULL
            OR (provider_type, provider_id) IN (SELECT type, id FROM unnest($4::text[], $5::integer[]) AS one (type, id)))
) AS minutes USING (provider_type, provider_id, purpose, day)
ORDER BY provider_type, provider_id, purpose, day;

-- name: read_hours
-- Targets' hours, oldest first.
-- $1 since, $2 before, $3 kind, $4 and $5 only of these providers: types and ids, or null for all
SELECT provider_type, provider_id, purpose, hour,
       coalesce(bit_count(up_minutes::bit(64)), 0) AS up, coalesce(bit_count(down_minutes::bit(64)), 0) AS down,
       coalesce(passed, 0) AS passed, coalesce(failed, 0) AS failed, counts, latency, ttft, tokens_in, tokens_out, cost_usd
FROM (
    SELECT provider_type, provider_id, purpose, hour, counts, latency, ttft, tokens_in, tokens_out, cost_usd
    FROM monitor.hours
    WHERE hour >= $1 AND hour < $2 AND kind = $3
        AND ($4::text[] IS NULL
            OR (provider_type, provider_id) IN (SELECT type, id FROM unnest($4::text[], $5::integer[]) AS one (type, id)))
) AS sums
FULL JOIN (
    SELECT provider_type, provider_id, purpose, hour, up_minutes, down_minutes, passed, failed
    FROM monitor.uptime_hours
    WHERE hour >= $1 AND hour < $2
        AND ($4::text[] IS NULL
            OR (provider_type, provider_id) IN (SELECT type, id FROM unnest($4::text[], $5::integer[]) AS one (type, id)))
) AS minutes USING (provider_type, provider_id, purpose, hour)
ORDER BY provider_type, provider_id, purpose, hour;
