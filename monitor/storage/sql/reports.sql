-- What applications report of their own requests.

-- name: add_reports
-- One row a target; ages and not instants, for the writer's clock is not asked.
-- $1 an array of objects as JSON text: provider_type, provider_id, purpose, source, via, ages, outcomes, counts
INSERT INTO monitor.reports
    (provider_type, provider_id, purpose, source, via, ages_seconds, outcomes, counts)
SELECT provider_type, provider_id, purpose, source, via, ages, outcomes, counts
FROM jsonb_to_recordset($1::text::jsonb) AS batch (
    provider_type text, provider_id integer, purpose text, source text, via text,
    ages double precision[], outcomes text[], counts jsonb
);

-- name: last_report
-- The newest row's id, 0 without any.
SELECT coalesce(max(id), 0) FROM monitor.reports;

-- name: load_reports
-- New rows: after an id, and smaller ones that were committed later. How long they have waited is told, not since
-- when: the reader's clock need not be this one, and this one may have been set.
-- $1 the greatest id that has been read, $2 smaller ids that were missing then, $3 at most so many
SELECT id, extract(epoch FROM clock_timestamp() - received_at)::double precision AS waited_seconds,
       provider_type, provider_id, purpose, source, ages_seconds, outcomes
FROM monitor.reports
WHERE id > $1 OR id = ANY($2::bigint[])
ORDER BY id
LIMIT $3;

-- name: prune_reports
-- Rows that have expired.
-- $1 instant
DELETE FROM monitor.reports WHERE received_at < $1;
