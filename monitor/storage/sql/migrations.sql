-- The ledger of migrations, and what must hold of the application's tables.

-- name: lock_migrations
-- One migrating program at a time; the lock ends with the transaction, so a pooler between us cannot keep it.
SELECT pg_advisory_xact_lock(hashtextextended('monitor.migrations', 0));

-- name: has_ledger
-- Whether anything was ever migrated here. Read from the catalogue itself: to_regclass answers from a cache that
-- does not notice what another session committed while we waited for the lock.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class
    WHERE relname = 'migrations'
        AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'monitor')
);

-- name: has_schema
-- Whether a schema of our name is there.
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'monitor');

-- name: create_schema
-- Before the first migration.
CREATE SCHEMA monitor;

-- name: create_ledger
-- Before the first migration.
CREATE TABLE monitor.migrations (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

-- name: read_ledger
-- What was applied.
SELECT number, name, checksum FROM monitor.migrations ORDER BY number;

-- name: write_ledger
-- One applied migration.
-- $1 number, $2 name, $3 checksum
INSERT INTO monitor.migrations (number, name, checksum) VALUES ($1, $2, $3);

-- name: read_columns
-- The columns of tables as the search path finds them; a table that is not there has no rows here.
-- $1 table names
SELECT wanted.name AS table_name, tables.relkind::text AS kind, columns.attname::text AS column_name
FROM unnest($1::text[]) AS wanted (name)
JOIN pg_catalog.pg_class AS tables ON tables.oid = to_regclass(wanted.name)
JOIN pg_catalog.pg_attribute AS columns
    ON columns.attrelid = tables.oid AND columns.attnum > 0 AND NOT columns.attisdropped;

-- name: attach_triggers
-- Puts our triggers where they are missing; names those tables.
SELECT monitor.attach_triggers();
