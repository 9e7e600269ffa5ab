-- What decisions rested on besides results.

-- name: add_journal
-- One entry.
-- $1 purpose, $2 at, $3 kind, $4 instance, $5 detail
INSERT INTO monitor.journal (purpose, at, kind, instance, detail)
VALUES ($1, $2, $3, $4, $5);

-- name: journal_start
-- The entry to begin with: the last that holds everything and is not later than $2, else the first that does.
-- $1 purpose, $2 instant, $3 the kinds that hold everything
SELECT id
FROM monitor.journal
WHERE purpose = $1 AND kind = ANY($3::text[])
ORDER BY at > $2, CASE WHEN at > $2 THEN at END, id DESC
LIMIT 1;

-- name: load_journal
-- A purpose's entries from one on, in their order.
-- $1 purpose, $2 id of the first
SELECT at, kind, instance, detail
FROM monitor.journal
WHERE purpose = $1 AND id >= $2
ORDER BY id;

-- name: load_journal_kinds
-- A purpose's entries of some kinds since an instant, in their order.
-- $1 purpose, $2 instant, $3 kinds
SELECT at, kind, instance, detail
FROM monitor.journal
WHERE purpose = $1 AND at >= $2 AND kind = ANY($3::text[])
ORDER BY id;

-- name: prune_journal
-- Entries that have expired.
-- $1 instant
DELETE FROM monitor.journal WHERE at < $1;

-- name: replayed_results
-- Deep results that judged some providers in a purpose, in the order of judging.
-- $1 purpose, $2 provider types, $3 provider ids, $4 ended after, $5 ended not after
SELECT id, started_at, ended_at, provider_type, provider_id, purpose, kind, outcome, fingerprint, model,
       latency_seconds, ttft_seconds, http_status, retry_after_seconds, tokens_in, tokens_out, cost_usd, detail,
       readings, reach_seconds
FROM monitor.results
WHERE purpose = $1 AND kind = 'deep'
    AND (provider_type, provider_id) IN (SELECT type, id FROM unnest($2::text[], $3::integer[]) AS wanted (type, id))
    AND started_at > $4::timestamptz - interval '1 hour' AND started_at <= $5
    AND ended_at > $4 AND ended_at <= $5
ORDER BY ended_at, id;

-- name: list_transitions
-- A purpose's moves since an instant, the last one before it included, oldest first.
-- $1 purpose, $2 since, $3 until
SELECT purpose, generation, rule, from_provider_type, from_provider_id, from_name,
       to_provider_type, to_provider_id, to_name, reason, failure_began_at, decided_at, policy, evidence
FROM monitor.transitions
WHERE purpose = $1 AND decided_at <= $3
    AND decided_at >= coalesce(
        (SELECT max(decided_at) FROM monitor.transitions WHERE purpose = $1 AND decided_at < $2), $2
    )
ORDER BY decided_at, id;

-- name: provider_names
-- The operator's name of every provider.
SELECT 'ai_server' AS provider_type, id AS provider_id, coalesce(name, '') AS name
FROM ai_servers
UNION ALL
SELECT 'api_key', id, concat(provider, '/', key_name)
FROM llm_api_keys;
