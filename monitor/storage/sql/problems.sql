-- Rows and settings that cannot be used.

-- name: clear_problems
-- All that are mended.
-- $1 subjects that are not
DELETE FROM monitor.problems WHERE subject <> ALL($1::text[]);

-- name: keep_problems
-- Those that stand; since when stays.
-- $1 subjects, $2 messages
INSERT INTO monitor.problems (subject, message)
SELECT subject, message FROM unnest($1::text[], $2::text[]) AS new (subject, message)
ON CONFLICT (subject) DO UPDATE SET message = excluded.message WHERE problems.message <> excluded.message;

-- name: list_problems
-- The oldest first.
SELECT subject, message, since FROM monitor.problems ORDER BY since, subject;
