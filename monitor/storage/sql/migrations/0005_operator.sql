-- What operators do by command and by API: every act is numbered and kept, whether or not a daemon was there to see it.
CREATE TABLE monitor.acts (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    act TEXT NOT NULL,
    purpose TEXT, -- NULL for an act on a provider
    provider_type TEXT,
    provider_id INTEGER,
    user_id TEXT NOT NULL,
    reason TEXT,
    via TEXT NOT NULL,
    detail JSONB NOT NULL
);
CREATE INDEX acts_by_time ON monitor.acts (at);

-- `act` is the last one that concerns the purpose; a move that has not seen it is not made. `act_taken` is the last one
-- that a deciding daemon has taken up, which gives a choice and a new order their instants by its own clock.
ALTER TABLE monitor.purposes
    ADD COLUMN act BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN act_taken BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN chosen_act BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN ordered_act BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN ordered_at TIMESTAMPTZ,
    ADD COLUMN held_at TIMESTAMPTZ,
    ADD COLUMN held_until TIMESTAMPTZ;

-- When a provider is out of service by an operator's word: one span each, past ones for a while.
CREATE TABLE monitor.maintenance (
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    starts_at TIMESTAMPTZ NOT NULL,
    ends_at TIMESTAMPTZ, -- NULL: until somebody ends it
    act BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (provider_type, provider_id)
);
