-- Results that waited on our own disk.

-- name: read_store_id
-- The instant of the first migration: no two databases share it, and it goes along with a dump or an upgrade.
SELECT applied_at FROM monitor.migrations ORDER BY number LIMIT 1;
