-- Which daemon decides.

-- name: try_lead
-- The lock of the session that decides; false while another session holds it.
-- $1 the lock's number
SELECT pg_try_advisory_lock($1);

-- name: read_clock
-- The database's clock.
SELECT clock_timestamp();

-- name: notify
-- Tell every listener, at the end of the transaction.
-- $1 channel, $2 payload
SELECT pg_notify($1, $2);
