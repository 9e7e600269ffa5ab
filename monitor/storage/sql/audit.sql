-- The application's audit trail.

-- name: read_audit_types
-- The types of the audit table's columns, which differ between applications.
SELECT attname::text AS name, atttypid::regtype::text AS type
FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass('llm_config_audit') AND attnum > 0 AND NOT attisdropped;

-- name: record_audit
-- One change. In braces what depends on those types: the time column, its value, and the cast of entity_id.
-- $1 action, $2 entity_type, $3 entity_id, $4 user_id, $5 changes, JSON as text
INSERT INTO llm_config_audit (action, entity_type, entity_id, user_id, changes, {time_column})
VALUES ($1::text, $2::text, {entity_id}, $4::text, $5::text::jsonb, {time});
