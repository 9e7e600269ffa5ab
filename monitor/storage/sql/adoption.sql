-- Taking up what was found on the machine.

-- name: lock_adoption
-- One program at a time takes up what it found; the lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('monitor.adoption', 0));
