-- Probes that somebody asked the deciding daemon for.

-- name: find_prober
-- Whether a daemon that decides was heard of just now; and the database's clock.
-- $1 within what time
SELECT EXISTS (
    SELECT FROM monitor.daemons WHERE role = 'active' AND heartbeat_at > clock_timestamp() - $1::interval
) AS alive, clock_timestamp() AS now;

-- name: ask_for_probe
-- Tell the deciding daemon.
-- $1 channel, $2 which target, as JSON
SELECT pg_notify($1::text, $2::text);

-- name: read_asked_result
-- The first result of a target that began after it was asked for.
-- $1 provider_type, $2 provider_id, $3 purpose or 'none', $4 kind, $5 fingerprint, $6 when it was asked for
SELECT outcome, detail, model, latency_seconds, started_at
FROM monitor.results
WHERE provider_type = $1 AND provider_id = $2 AND purpose = $3 AND kind = $4 AND fingerprint = $5
    AND started_at >= $6
ORDER BY started_at
LIMIT 1;
