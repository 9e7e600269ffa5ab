-- Vectors of one fixed sentence, by which embedders are compared.

-- name: load_references
-- All of them.
SELECT provider_type, provider_id, fingerprint, vector
FROM monitor.embedding_references;

-- name: save_reference
-- The first good vector of an embedder; a later one changes nothing.
-- $1 provider_type, $2 provider_id, $3 fingerprint, $4 vector
INSERT INTO monitor.embedding_references (provider_type, provider_id, fingerprint, vector, recorded_at)
VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT (provider_type, provider_id, fingerprint) DO NOTHING;
