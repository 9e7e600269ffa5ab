-- What we know of the stored keys, without a key in it.

-- The sealed keys that were written by this program: what is not named here, with the hash of what stands in the
-- row now, was written by another one. The identity stays when a key is sealed anew and changes when it is another
-- key: beliefs hang on it, not on the sealed text. It is the hash of the text that the key was first sealed as.
CREATE TABLE monitor.keys (
    provider_type TEXT NOT NULL,
    provider_id INTEGER NOT NULL,
    sealed_sha256 TEXT NOT NULL,
    identity TEXT NOT NULL,
    written_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider_type, provider_id)
);

-- A key in plain text has an identity too, and may be short enough to be guessed from a mere hash: this goes into it.
CREATE TABLE monitor.key_salt (
    salt TEXT NOT NULL,
    only_one BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_one)
);
INSERT INTO monitor.key_salt (salt) VALUES (gen_random_uuid()::text || gen_random_uuid()::text);

-- Which encryption keys a daemon opens with, the one it seals with first; names made of them, not the keys.
ALTER TABLE monitor.daemons ADD COLUMN key_ids TEXT[] NOT NULL DEFAULT '{}';
