-- What a backup says of the database that it was taken from.

-- name: export_snapshot
-- Lets pg_dump see what this transaction sees.
SELECT pg_export_snapshot();

-- name: read_postgres_version
-- As in 18.6.
SELECT split_part(current_setting('server_version'), ' ', 1);

-- name: read_roles
-- Roles besides our own: something may be granted to them.
SELECT rolname::text AS name, rolcanlogin AS login
FROM pg_catalog.pg_roles
WHERE rolname <> current_user AND rolname NOT LIKE 'pg\_%'
ORDER BY rolname;

-- name: read_other_databases
-- What somebody has put on the server beside the database of ours.
SELECT datname::text AS name
FROM pg_catalog.pg_database
WHERE NOT datistemplate AND datname NOT IN (current_database(), 'postgres')
ORDER BY datname;

-- name: create_role
-- {name}: quoted. {login}: LOGIN or NOLOGIN.
CREATE ROLE {name} {login};

-- name: analyze
-- What a planner wants to know of tables that have just been loaded.
ANALYZE;
