-- What is kept of results by the hour and by the day.

-- name: read_days
-- Targets' days, oldest first; a day may have sums without minutes, or minutes without sums (a word that held on).
-- $1 first day, $2 last day, $3 kind, $4 and $5 only of these providers: types and ids, or null for all
SELECT total.provider_type, total.provider_id, total.purpose, known.day, known.up, known.down, known.passed,
       known.failed, known.counts, known.latency, known.ttft, known.tokens_in, known.tokens_out, known.cost_usd
FROM monitor.totals AS total
CROSS JOIN LATERAL (
    SELECT day, coalesce(minutes.up, 0) AS up, coalesce(minutes.down, 0) AS down,
           coalesce(minutes.passed, 0) AS passed, coalesce(minutes.failed, 0) AS failed, sums.counts, sums.latency,
           sums.ttft, sums.tokens_in, sums.tokens_out, sums.cost_usd
    FROM (
        SELECT one.day, one.counts, one.latency, one.ttft, one.tokens_in, one.tokens_out, one.cost_usd
        FROM monitor.days AS one
        WHERE one.provider_type = total.provider_type AND one.provider_id = total.provider_id
            AND one.purpose = total.purpose AND one.kind = $3 AND one.day BETWEEN $1 AND $2
    ) AS sums
    FULL JOIN (
        SELECT one.day, one.up, one.down, one.passed, one.failed
        FROM monitor.uptime_days AS one
        WHERE one.provider_type = total.provider_type AND one.provider_id = total.provider_id
            AND one.purpose = total.purpose AND one.day BETWEEN $1 AND $2
    ) AS minutes USING (day)
) AS known
WHERE $4::text[] IS NULL OR (total.provider_type, total.provider_id) IN (
    SELECT type, id FROM unnest($4::text[], $5::integer[]) AS one (type, id)
)
ORDER BY total.provider_type, total.provider_id, total.purpose, known.day;

-- name: read_hours
-- Targets' hours, oldest first.
-- $1 since, $2 before, $3 kind, $4 and $5 only of these providers: types and ids, or null for all
SELECT total.provider_type, total.provider_id, total.purpose, known.hour, known.up, known.down, known.passed,
       known.failed, known.counts, known.latency, known.ttft, known.tokens_in, known.tokens_out, known.cost_usd
FROM monitor.totals AS total
CROSS JOIN LATERAL (
    SELECT hour, coalesce(minutes.up, 0) AS up, coalesce(minutes.down, 0) AS down,
           coalesce(minutes.passed, 0) AS passed, coalesce(minutes.failed, 0) AS failed, sums.counts, sums.latency,
           sums.ttft, sums.tokens_in, sums.tokens_out, sums.cost_usd
    FROM (
        SELECT one.hour, one.counts, one.latency, one.ttft, one.tokens_in, one.tokens_out, one.cost_usd
        FROM monitor.hours AS one
        WHERE one.provider_type = total.provider_type AND one.provider_id = total.provider_id
            AND one.purpose = total.purpose AND one.kind = $3 AND one.hour >= $1 AND one.hour < $2
    ) AS sums
    FULL JOIN (
        SELECT one.hour, bit_count(one.up_minutes::bit(64)) AS up, bit_count(one.down_minutes::bit(64)) AS down,
               one.passed, one.failed
        FROM monitor.uptime_hours AS one
        WHERE one.provider_type = total.provider_type AND one.provider_id = total.provider_id
            AND one.purpose = total.purpose AND one.hour >= $1 AND one.hour < $2
    ) AS minutes USING (hour)
) AS known
WHERE $4::text[] IS NULL OR (total.provider_type, total.provider_id) IN (
    SELECT type, id FROM unnest($4::text[], $5::integer[]) AS one (type, id)
)
ORDER BY total.provider_type, total.provider_id, total.purpose, known.hour;
