-- Everything of our own. Instants carry their zone; enumerations are words, so that people can read them.

-- The ordered candidates that an operator wants.
CREATE TABLE monitor.preferences (
    purpose TEXT NOT NULL,
    position INTEGER NOT NULL,
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    PRIMARY KEY (purpose, position)
);

-- What we last saw or wrote in active_providers, and the operator's wishes.
CREATE TABLE monitor.purposes (
    purpose TEXT PRIMARY KEY,
    generation BIGINT NOT NULL DEFAULT 0,
    provider_type TEXT,
    provider_id INTEGER,
    fallback_provider_type TEXT,
    fallback_provider_id INTEGER,
    since TIMESTAMPTZ,
    rule TEXT,
    chosen_at TIMESTAMPTZ,
    stranded_since TIMESTAMPTZ,
    paused_at TIMESTAMPTZ,
    paused_by TEXT,
    pinned_provider_type TEXT,
    pinned_provider_id INTEGER,
    pinned_until TIMESTAMPTZ,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

-- Every committed move, with a copy of what it rests on: raw results expire, these do not.
CREATE TABLE monitor.transitions (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose TEXT NOT NULL,
    generation BIGINT NOT NULL,
    rule TEXT NOT NULL,
    from_provider_type TEXT,
    from_provider_id INTEGER,
    from_name TEXT,
    to_provider_type TEXT,
    to_provider_id INTEGER,
    to_name TEXT,
    reason TEXT NOT NULL DEFAULT '',
    failure_began_at TIMESTAMPTZ,
    decided_at TIMESTAMPTZ NOT NULL,
    committed_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    instance UUID,
    policy JSONB NOT NULL,
    evidence JSONB NOT NULL,
    UNIQUE (purpose, generation)
);
CREATE INDEX transitions_by_time ON monitor.transitions (purpose, decided_at DESC);

-- Probe results, a partition a UTC day. No default partition: attaching a day would have to scan it.
CREATE TABLE monitor.results (
    id UUID NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ NOT NULL,
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    model TEXT,
    latency_seconds DOUBLE PRECISION,
    ttft_seconds DOUBLE PRECISION,
    http_status INTEGER,
    retry_after_seconds DOUBLE PRECISION,
    tokens_in BIGINT,
    tokens_out BIGINT,
    cost_usd DOUBLE PRECISION,
    detail TEXT NOT NULL DEFAULT '',
    readings JSONB NOT NULL DEFAULT '{}',
    PRIMARY KEY (started_at, id)
) PARTITION BY RANGE (started_at);
CREATE INDEX results_by_target ON monitor.results (provider_type, provider_id, purpose, started_at DESC);
CREATE INDEX results_by_id ON monitor.results (id); -- evidence is named by id alone

-- Makes the partition of a day; true when it was missing. Built beside and then attached: that lets inserts of
-- other days go on, where CREATE ... PARTITION OF would lock the whole table.
CREATE FUNCTION monitor.ensure_partition(day DATE) RETURNS BOOLEAN
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    name text := 'results_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass('monitor.' || name) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('monitor.results', 0));
    -- Not to_regclass again: its cache need not know yet what another session made while we waited.
    IF EXISTS (
        SELECT FROM pg_class WHERE relname = name
            AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'monitor')
    ) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE monitor.%I (LIKE monitor.results INCLUDING DEFAULTS)', name);
    EXECUTE format(
        'ALTER TABLE monitor.results ATTACH PARTITION monitor.%I FOR VALUES FROM (%L) TO (%L)',
        name, day::timestamptz, (day + 1)::timestamptz
    );
    RETURN true;
END
$$;

-- What we believe of each target.
CREATE TABLE monitor.healths (
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL,
    since TIMESTAMPTZ,
    eligible BOOLEAN NOT NULL DEFAULT FALSE,
    last_outcome TEXT,
    last_started_at TIMESTAMPTZ,
    warnings TEXT[] NOT NULL DEFAULT '{}',
    block TEXT,
    application_status TEXT NOT NULL DEFAULT 'unknown',
    health JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider_type, provider_id, purpose)
);

-- The daemons on this database.
CREATE TABLE monitor.daemons (
    instance UUID PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    version TEXT NOT NULL,
    role TEXT NOT NULL,
    listen TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    heartbeat_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

-- Rows and settings that cannot be used, each until it is mended.
CREATE TABLE monitor.problems (
    subject TEXT PRIMARY KEY,
    message TEXT NOT NULL,
    since TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

-- The vector of one fixed sentence, from a target's first good probe.
CREATE TABLE monitor.embedding_references (
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    vector DOUBLE PRECISION[] NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider_type, provider_id, fingerprint)
);
