-- Which programs a migration leaves behind: those whose last migration is before this number can't live with it. 0, as
-- in every row until now: it only adds, and a program of any version before goes on.
ALTER TABLE monitor.migrations ADD COLUMN oldest INTEGER NOT NULL DEFAULT 0;

-- Puts the triggers on one table where they are missing; true when it did. One table a transaction: whoever holds a
-- lock on two of the application's tables can be in the way of a transaction that holds them in another order.
CREATE FUNCTION monitor.attach_triggers(name TEXT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
    place regclass := to_regclass(name);
BEGIN
    IF place IS NULL OR EXISTS (
        SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = place AND tgname = 'monitor_truncated'
    ) THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'CREATE TRIGGER monitor_changed AFTER INSERT OR UPDATE OR DELETE ON %s '
        'FOR EACH ROW EXECUTE FUNCTION monitor.notify_configuration()', place);
    EXECUTE format(
        'CREATE TRIGGER monitor_truncated AFTER TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION monitor.notify_configuration()', place);
    RETURN true;
END
$$;
