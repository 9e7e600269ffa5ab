-- The daemons on this database.

-- name: beat
-- A daemon is alive, by the database's clock.
-- $1 instance, $2 host, $3 pid, $4 version, $5 role, $6 listen, $7 started_at, $8 key_ids
INSERT INTO monitor.daemons (instance, host, pid, version, role, listen, started_at, key_ids, heartbeat_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp())
ON CONFLICT (instance) DO UPDATE 
SET role = excluded.role, listen = excluded.listen, key_ids = excluded.key_ids,
    heartbeat_at = excluded.heartbeat_at;

-- name: list_daemons
-- All, the active one first; with the seconds since each was heard of.
SELECT instance, host, pid, version, role, listen, started_at, key_ids, heartbeat_at,
       greatest(extract(epoch FROM clock_timestamp() - heartbeat_at), 0)::float8 AS silent_seconds
FROM monitor.daemons
ORDER BY role, started_at, instance;

-- name: forget_daemon
-- One that has ended.
-- $1 instance
DELETE FROM monitor.daemons WHERE instance = $1;

-- name: forget_silent_daemons
-- Those that ended without a word.
-- $1 after how long
DELETE FROM monitor.daemons WHERE heartbeat_at < clock_timestamp() - $1::interval;
