-- Who may use the HTTP API. A token's secret is 256 random bits, of which the SHA-256 alone is kept. Rows stay when
-- they are revoked: the audit trail names them, and the first token is made only where there has never been one.
CREATE TABLE monitor.tokens (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    secret_sha256 BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    created_by TEXT NOT NULL,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ,
    revoked_by TEXT,
    last_used_at TIMESTAMPTZ
);

-- Word of whatever makes a token worth less, on the channel monitor_tokens; the payload is its id. However the row
-- was changed, by our command or by hand, whoever remembers the token forgets it at once.
CREATE FUNCTION monitor.notify_token() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('monitor_tokens', OLD.id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER token_changed
    AFTER UPDATE OF name, role, secret_sha256, expires_at, revoked_at OR DELETE ON monitor.tokens
    FOR EACH ROW EXECUTE FUNCTION monitor.notify_token();

-- Word of every change of what is believed of a target, on the channel monitor_health.
CREATE FUNCTION monitor.notify_health() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF pg_notification_queue_usage() < 0.5 THEN
        PERFORM pg_notify('monitor_health', json_build_object(
            'provider', concat(NEW.provider_type, ':', NEW.provider_id),
            'purpose', nullif(NEW.purpose, 'none'),
            'state', NEW.state,
            'status', NEW.application_status
        )::text);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER health_began AFTER INSERT ON monitor.healths
    FOR EACH ROW EXECUTE FUNCTION monitor.notify_health();
CREATE TRIGGER health_changed AFTER UPDATE ON monitor.healths
    FOR EACH ROW
    WHEN (
        (OLD.state, OLD.eligible, OLD.block, OLD.application_status, OLD.warnings)
        IS DISTINCT FROM (NEW.state, NEW.eligible, NEW.block, NEW.application_status, NEW.warnings)
    )
    EXECUTE FUNCTION monitor.notify_health();

-- Deep results counted by the hour, so that an uptime of many days reads some rows instead of millions, and reaches
-- further back than single results are kept.
CREATE TABLE monitor.result_hours (
    hour TIMESTAMPTZ NOT NULL,
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    outcome TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (hour, provider_type, provider_id, purpose, outcome)
) WITH (fillfactor = 50); -- the rows of this hour change all the time, in their page

INSERT INTO monitor.result_hours (hour, provider_type, provider_id, purpose, outcome, count)
SELECT date_trunc('hour', started_at, 'UTC'), provider_type, provider_id, purpose, outcome, count(*)
FROM monitor.results
WHERE kind = 'deep'
GROUP BY 1, 2, 3, 4, 5;

-- Once a statement, of the rows that were really added. In one order, so that two sessions never wait for each other.
CREATE FUNCTION monitor.count_results() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO monitor.result_hours AS known (hour, provider_type, provider_id, purpose, outcome, count)
    SELECT date_trunc('hour', started_at, 'UTC'), provider_type, provider_id, purpose, outcome, count(*)
    FROM added
    WHERE kind = 'deep'
    GROUP BY 1, 2, 3, 4, 5
    ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (hour, provider_type, provider_id, purpose, outcome)
        DO UPDATE SET count = known.count + excluded.count;
    RETURN NULL;
END
$$;
CREATE TRIGGER results_counted AFTER INSERT ON monitor.results REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION monitor.count_results();
