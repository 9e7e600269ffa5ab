-- The ledger of migrations, and what must hold of the application's tables.

-- name: limit_migration
-- For this transaction. {wait}: while it waits for a table, everybody else waits behind it. The work itself may take its
-- time, whatever the role's own limit is.
SET LOCAL lock_timeout = '{wait}';
SET LOCAL statement_timeout = 0;

-- name: lock_migrations
-- One migrating program at a time; false while another one does. The lock ends with the transaction, so a pooler
-- between us cannot keep it. Asked and not awaited: a limit of waiting for tables would end this wait too.
SELECT pg_try_advisory_xact_lock(hashtextextended('monitor.migrations', 0));

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
-- What was applied. The ledger of a database from before 0010 has no column `oldest`.
SELECT number, name, checksum, coalesce((to_jsonb(one) ->> 'oldest')::integer, 0) AS oldest
FROM monitor.migrations AS one
ORDER BY number;

-- name: write_ledger
-- One applied migration.
-- $1 number, $2 name, $3 checksum
INSERT INTO monitor.migrations (number, name, checksum) VALUES ($1, $2, $3);

-- name: write_oldest
-- Which programs an applied migration leaves behind.
-- $1 number, $2 the last migration that a program has to know
UPDATE monitor.migrations SET oldest = $2 WHERE number = $1;

-- name: read_columns
-- The columns of tables as the search path finds them; a table that is not there has no rows here.
-- $1 table names
SELECT wanted.name AS table_name, tables.relkind::text AS kind, columns.attname::text AS column_name
FROM unnest($1::text[]) AS wanted (name)
JOIN pg_catalog.pg_class AS tables ON tables.oid = to_regclass(wanted.name)
JOIN pg_catalog.pg_attribute AS columns
    ON columns.attrelid = tables.oid AND columns.attnum > 0 AND NOT columns.attisdropped;

-- name: attach_triggers
-- Puts our triggers on a table where they are missing; true when it did.
-- $1 the table's name
SELECT monitor.attach_triggers($1::text);
