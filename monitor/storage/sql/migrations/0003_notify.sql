-- Word of every change of configuration, on the channel monitor_config. The payload is the table's name, with the
-- purpose after a colon where a row has one: `ai_servers`, `llm_api_keys`, `active_providers:chat`.
--
-- The columns are compared inside the function: a trigger that names columns (UPDATE OF, WHEN) would forbid the
-- application to alter their type or to drop them. Health and usage columns never notify, nor do mere time stamps.
-- Whatever goes wrong in here, the application's statement succeeds; and a notification queue that somebody lets
-- run full, which would fail its commit, is left alone in time.
CREATE FUNCTION monitor.notify_configuration() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unimportant CONSTANT text[] := ARRAY[
        'last_health_check', 'health_status', 'last_used', 'requests_count', 'tokens_used', 'cost_usd',
        'created_by', 'created_at', 'updated_by', 'updated_at'
    ];
    word text := TG_TABLE_NAME;
BEGIN
    BEGIN
        IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - unimportant = to_jsonb(NEW) - unimportant THEN
            RETURN NULL;
        END IF;
        IF pg_notification_queue_usage() < 0.5 THEN
            IF TG_LEVEL = 'ROW' THEN
                word := concat_ws(':', word, to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END) ->> 'purpose');
            END IF;
            PERFORM pg_notify('monitor_config', word);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION monitor.notify_configuration() FROM PUBLIC;

-- Puts the triggers on the application's tables where they are missing (first time, or tables made anew); names
-- the tables it touched.
CREATE FUNCTION monitor.attach_triggers() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    name text;
    place regclass;
BEGIN
    FOREACH name IN ARRAY ARRAY['ai_servers', 'llm_api_keys', 'active_providers', 'monitor.preferences'] LOOP
        place := to_regclass(name);
        CONTINUE WHEN place IS NULL OR EXISTS (
            SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = place AND tgname = 'monitor_truncated'
        );
        EXECUTE format(
            'CREATE TRIGGER monitor_changed AFTER INSERT OR UPDATE OR DELETE ON %s '
            'FOR EACH ROW EXECUTE FUNCTION monitor.notify_configuration()', place);
        EXECUTE format(
            'CREATE TRIGGER monitor_truncated AFTER TRUNCATE ON %s '
            'FOR EACH STATEMENT EXECUTE FUNCTION monitor.notify_configuration()', place);
        RETURN NEXT name;
    END LOOP;
END
$$;
