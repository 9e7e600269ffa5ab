-- The spool: a file of our own, read by SQLite.

-- name: spool_create
-- Ids are UUIDv7: their order is that of time.
CREATE TABLE IF NOT EXISTS results (
    id TEXT PRIMARY KEY,
    store TEXT NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;

-- name: spool_size
-- Rows and bytes.
SELECT count(*), coalesce(sum(length(body)), 0) FROM results;

-- name: spool_count
-- Rows that belong to one database.
SELECT count(*) FROM results WHERE store = ?;

-- name: spool_add
-- One result; it may lie here already.
INSERT OR IGNORE INTO results (id, store, body) VALUES (?, ?, ?);

-- name: spool_all
-- Every row, oldest first.
SELECT id, store, length(body) FROM results ORDER BY id;

-- name: spool_oldest
-- Of one database, oldest first.
SELECT id, body FROM results WHERE store = ? ORDER BY id LIMIT ?;

-- name: spool_find
-- What one row counts for; RETURNING is too new a word for some systems' SQLite.
SELECT store, length(body) FROM results WHERE id = ?;

-- name: spool_remove
-- One result.
DELETE FROM results WHERE id = ?;
