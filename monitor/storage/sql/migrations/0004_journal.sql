-- What decisions rested on besides probe results: every decision can be made again from these two.
CREATE TABLE monitor.journal (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose TEXT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    kind TEXT NOT NULL,
    instance UUID,
    detail JSONB NOT NULL
);
CREATE INDEX journal_by_purpose ON monitor.journal (purpose, id);
CREATE INDEX journal_by_time ON monitor.journal (at);
