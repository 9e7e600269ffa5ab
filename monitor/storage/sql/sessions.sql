-- What concerns a session or a transaction as such.

-- name: prove_alive
-- An answer, whatever it is.
SELECT 1;

-- name: limit_lock_wait
-- For this transaction: while it waits for a table, everybody else waits behind it.
SET LOCAL lock_timeout = '2s';
