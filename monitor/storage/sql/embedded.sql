-- What a new cluster of our own needs before its first migration.

-- name: settle_role
-- The role shares its name with our schema, which "$user" would put first: the application's tables would land there.
ALTER ROLE monitor SET search_path = public;

-- name: create_database
-- Ours, and the application's beside it.
CREATE DATABASE monitor;
