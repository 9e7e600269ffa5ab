-- What is kept of results for longer than single results are: sums by the hour and by the day, and which minutes a
-- target was up. Instants and days are UTC.

-- How long a result's word holds when nothing follows it; NULL when it does not say.
ALTER TABLE monitor.results ADD COLUMN reach_seconds DOUBLE PRECISION;

-- What was really added to monitor.results and is not summed yet. One statement adds to both, and one transaction moves
-- from here into the sums: each result counts once, however late it comes and however often it is given. A queue
-- without an index: adding to it costs little, and the sums are written once for many results.
CREATE TABLE monitor.arrivals (
    started_at TIMESTAMPTZ NOT NULL,
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    latency_seconds DOUBLE PRECISION,
    ttft_seconds DOUBLE PRECISION,
    tokens_in BIGINT,
    tokens_out BIGINT,
    cost_usd DOUBLE PRECISION,
    reach_seconds DOUBLE PRECISION
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000); -- rows go as fast as they come

-- Sums of an hour's results. latency and ttft are histograms of those that passed: bucket and count by turns
-- (monitor/domain/histogram.py). counts is {outcome: how many}.
CREATE TABLE monitor.hours (
    hour TIMESTAMPTZ NOT NULL,
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    kind TEXT NOT NULL,
    counts JSONB NOT NULL,
    latency INTEGER[] NOT NULL,
    ttft INTEGER[] NOT NULL,
    tokens_in BIGINT NOT NULL,
    tokens_out BIGINT NOT NULL,
    cost_usd DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (provider_type, provider_id, purpose, kind, hour)
) WITH (fillfactor = 80); -- this hour's rows change all the time, in their page
CREATE INDEX hours_by_time ON monitor.hours (hour);

CREATE TABLE monitor.days (
    day DATE NOT NULL,
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    kind TEXT NOT NULL,
    counts JSONB NOT NULL,
    latency INTEGER[] NOT NULL,
    ttft INTEGER[] NOT NULL,
    tokens_in BIGINT NOT NULL,
    tokens_out BIGINT NOT NULL,
    cost_usd DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (provider_type, provider_id, purpose, kind, day)
) WITH (fillfactor = 80);
CREATE INDEX days_by_time ON monitor.days (day);

-- Of each target that anything was summed of: all its minutes and deep probes.
CREATE TABLE monitor.totals (
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    up INTEGER NOT NULL DEFAULT 0,
    down INTEGER NOT NULL DEFAULT 0,
    passed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (provider_type, provider_id, purpose)
) WITH (fillfactor = 50);

-- What deep probes showed of an hour, its minutes as the 60 lowest bits of a mask. passed_minutes and failed_minutes
-- are those in which a probe passed or failed; up_minutes and down_minutes are made of them (monitor/domain/uptime.py).
-- reach: for how many minutes a word of this hour holds. carried: for how many minutes it holds on after the
-- hour, above 0 up, below 0 down. What ends in _before is of all hours before this one: any span is the difference of
-- two of them, so that 90 days of a thousand targets read some thousand rows and not two million.
CREATE TABLE monitor.uptime_hours (
    hour TIMESTAMPTZ NOT NULL,
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    passed_minutes BIGINT NOT NULL DEFAULT 0,
    failed_minutes BIGINT NOT NULL DEFAULT 0,
    up_minutes BIGINT NOT NULL DEFAULT 0,
    down_minutes BIGINT NOT NULL DEFAULT 0,
    passed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    reach SMALLINT NOT NULL DEFAULT 0,
    carried SMALLINT NOT NULL DEFAULT 0,
    up_before INTEGER NOT NULL,
    down_before INTEGER NOT NULL,
    passed_before INTEGER NOT NULL,
    failed_before INTEGER NOT NULL,
    PRIMARY KEY (provider_type, provider_id, purpose, hour)
) WITH (fillfactor = 80);
CREATE INDEX uptime_hours_by_time ON monitor.uptime_hours (hour);

-- Minutes of a day, and its deep probes.
CREATE TABLE monitor.uptime_days (
    day DATE NOT NULL,
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    up SMALLINT NOT NULL DEFAULT 0,
    down SMALLINT NOT NULL DEFAULT 0,
    passed INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (provider_type, provider_id, purpose, day)
) WITH (fillfactor = 80);
CREATE INDEX uptime_days_by_time ON monitor.uptime_days (day);

-- Hours whose up and down minutes have to be made: those that last, and those that a result has come late for.
CREATE TABLE monitor.uptime_due (
    hour TIMESTAMPTZ NOT NULL,
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    PRIMARY KEY (hour, provider_type, provider_id, purpose)
);

-- The minutes of an hour that begin at `since` or later and before `until`, as a mask.
CREATE FUNCTION monitor.minutes_within(hour TIMESTAMPTZ, since TIMESTAMPTZ, until TIMESTAMPTZ) RETURNS BIGINT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((1::bigint << greatest(0, least(60, ceil(extract(epoch FROM until - hour) / 60)))::integer) - 1)
        & ~((1::bigint << greatest(0, least(60, ceil(extract(epoch FROM since - hour) / 60)))::integer) - 1)
$$;

-- The minutes of a target that begin before an instant, and the deep probes of the hours before its hour.
CREATE FUNCTION monitor.uptime_before(of_type TEXT, of_id INTEGER, of_purpose TEXT, at TIMESTAMPTZ)
RETURNS TABLE (up INTEGER, down INTEGER, passed INTEGER, failed INTEGER)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(edge.up_before + bit_count((edge.up_minutes & edge.mask)::bit(64))::integer, total.up),
           coalesce(edge.down_before + bit_count((edge.down_minutes & edge.mask)::bit(64))::integer, total.down),
           coalesce(edge.passed_before, total.passed), coalesce(edge.failed_before, total.failed)
    FROM monitor.totals AS total
    LEFT JOIN LATERAL (
        SELECT one.up_before, one.down_before, one.passed_before, one.failed_before, one.up_minutes, one.down_minutes,
               monitor.minutes_within(one.hour, one.hour, at) AS mask
        FROM monitor.uptime_hours AS one
        WHERE one.provider_type = of_type AND one.provider_id = of_id AND one.purpose = of_purpose
            AND one.hour >= date_trunc('hour', at, 'UTC')
        ORDER BY one.hour
        LIMIT 1
    ) AS edge ON true
    WHERE total.provider_type = of_type AND total.provider_id = of_id AND total.purpose = of_purpose
$$;

-- Who served each purpose within a span, by the record of moves. Before the first move it was the one it left; after
-- the last it is the one it brought, until the purpose's row is deleted.
CREATE FUNCTION monitor.served(since TIMESTAMPTZ, until TIMESTAMPTZ)
RETURNS TABLE (purpose TEXT, provider_type TEXT, provider_id INTEGER, began_at TIMESTAMPTZ, ended_at TIMESTAMPTZ)
LANGUAGE sql STABLE AS $$
    SELECT turn.purpose, turn.provider_type, turn.provider_id, greatest(turn.since, $1), least(turn.until, $2)
    FROM (
        SELECT move.purpose, move.to_provider_type, move.to_provider_id, move.decided_at,
               coalesce(
                   lead(move.decided_at) OVER (PARTITION BY move.purpose ORDER BY move.id),
                   CASE WHEN known.provider_type IS NULL THEN known.updated_at END,
                   $2
               )
        FROM monitor.transitions AS move
        LEFT JOIN monitor.purposes AS known ON known.purpose = move.purpose
        UNION ALL
        (
            SELECT DISTINCT ON (move.purpose)
                   move.purpose, move.from_provider_type, move.from_provider_id, $1, move.decided_at
            FROM monitor.transitions AS move
            ORDER BY move.purpose, move.id
        )
        UNION ALL
        SELECT known.purpose, known.provider_type, known.provider_id, coalesce(known.since, $1), $2
        FROM monitor.purposes AS known
        WHERE NOT EXISTS (SELECT FROM monitor.transitions AS move WHERE move.purpose = known.purpose)
    ) AS turn (purpose, provider_type, provider_id, since, until)
    WHERE turn.provider_type IS NOT NULL AND greatest(turn.since, $1) < least(turn.until, $2)
$$;

-- Once a statement, of the rows that were really added.
CREATE FUNCTION monitor.note_arrivals() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO monitor.arrivals
        (started_at, provider_type, provider_id, purpose, kind, outcome, latency_seconds, ttft_seconds,
         tokens_in, tokens_out, cost_usd, reach_seconds)
    SELECT started_at, provider_type, provider_id, purpose, kind, outcome, latency_seconds, ttft_seconds,
           tokens_in, tokens_out, cost_usd, reach_seconds
    FROM added;
    RETURN NULL;
END
$$;

-- All that is there is summed like what comes; an hour of which no single result is left keeps its counts.
INSERT INTO monitor.arrivals
    (started_at, provider_type, provider_id, purpose, kind, outcome, latency_seconds, ttft_seconds,
     tokens_in, tokens_out, cost_usd, reach_seconds)
SELECT started_at, provider_type, provider_id, purpose, kind, outcome, latency_seconds, ttft_seconds,
       tokens_in, tokens_out, cost_usd, reach_seconds
FROM monitor.results
ORDER BY started_at;

INSERT INTO monitor.hours
    (hour, provider_type, provider_id, purpose, kind, counts, latency, ttft, tokens_in, tokens_out, cost_usd)
SELECT hour, provider_type, provider_id, purpose, 'deep', jsonb_object_agg(outcome, count), '{}', '{}', 0, 0, 0
FROM monitor.result_hours
WHERE hour < coalesce(
    (SELECT date_trunc('hour', min(started_at), 'UTC') FROM monitor.results), 'infinity'::timestamptz
)
GROUP BY hour, provider_type, provider_id, purpose;

INSERT INTO monitor.days
    (day, provider_type, provider_id, purpose, kind, counts, latency, ttft, tokens_in, tokens_out, cost_usd)
SELECT day, provider_type, provider_id, purpose, 'deep', jsonb_object_agg(outcome, count), '{}', '{}', 0, 0, 0
FROM (
    SELECT (hour AT TIME ZONE 'UTC')::date AS day, provider_type, provider_id, purpose, counted.key AS outcome,
           sum(counted.value::bigint) AS count
    FROM monitor.hours, jsonb_each_text(counts) AS counted
    GROUP BY 1, 2, 3, 4, 5
) AS counted
GROUP BY day, provider_type, provider_id, purpose;

-- monitor.result_hours is counted no longer. It stays, for a daemon of the version before, which reads and prunes it
-- until it has been stopped; the next migration may drop it together with monitor.count_results.
DROP TRIGGER results_counted ON monitor.results;
CREATE TRIGGER results_noted AFTER INSERT ON monitor.results REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION monitor.note_arrivals();
