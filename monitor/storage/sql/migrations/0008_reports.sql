-- What applications saw of their own requests, a row for each flush of a process and target. Instants are told as
-- ages at `received_at`, so that no clock but the database's counts.
CREATE TABLE monitor.reports (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    source TEXT NOT NULL,
    via TEXT NOT NULL,
    ages_seconds DOUBLE PRECISION[] NOT NULL,
    outcomes TEXT[] NOT NULL,
    counts JSONB NOT NULL
);
CREATE INDEX reports_by_time ON monitor.reports (received_at);

-- Word of new rows on the channel monitor_reports, once a statement. Whatever goes wrong in here, the statement
-- succeeds; and a notification queue that somebody lets run full is left alone in time.
CREATE FUNCTION monitor.notify_reports() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    BEGIN
        IF pg_notification_queue_usage() < 0.5 THEN
            PERFORM pg_notify('monitor_reports', '');
        END IF;
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION monitor.notify_reports() FROM PUBLIC;
CREATE TRIGGER reports_arrived AFTER INSERT ON monitor.reports
FOR EACH STATEMENT EXECUTE FUNCTION monitor.notify_reports();
