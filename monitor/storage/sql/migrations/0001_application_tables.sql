-- The application's own tables, in its own form, where it has none yet. Tables that exist are adopted as they are.
-- They go into the first schema of the search path that is not ours: what is ours can be dropped without trace.
DO $$
DECLARE
    place text;
BEGIN
    SELECT name INTO place FROM unnest(current_schemas(false)) AS name WHERE name <> 'monitor' LIMIT 1;
    IF place IS NULL THEN
        RAISE EXCEPTION 'the search path names no schema for the application''s tables';
    END IF;

    IF to_regclass('ai_servers') IS NULL THEN
        EXECUTE format($sql$
            CREATE TABLE %I.ai_servers (
                id SERIAL PRIMARY KEY,
                name TEXT NOT NULL UNIQUE,
                server_type TEXT NOT NULL,
                base_url TEXT NOT NULL,
                api_key TEXT,
                model_path TEXT,
                enabled BOOLEAN DEFAULT TRUE,
                use_for_chat BOOLEAN DEFAULT FALSE,
                use_for_embeddings BOOLEAN DEFAULT FALSE,
                use_for_reranking BOOLEAN DEFAULT FALSE,
                last_health_check TIMESTAMP,
                health_status TEXT,
                metadata JSONB DEFAULT '{}',
                created_by TEXT,
                created_at TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'),
                updated_at TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC')
            )$sql$, place);
    END IF;

    IF to_regclass('llm_api_keys') IS NULL THEN
        EXECUTE format($sql$
            CREATE TABLE %I.llm_api_keys (
                id SERIAL PRIMARY KEY,
                provider TEXT NOT NULL,
                key_name TEXT NOT NULL,
                encrypted_key TEXT NOT NULL,
                enabled BOOLEAN DEFAULT TRUE,
                use_for_ops_center BOOLEAN DEFAULT FALSE,
                last_used TIMESTAMP,
                requests_count INTEGER DEFAULT 0,
                tokens_used BIGINT DEFAULT 0,
                cost_usd NUMERIC(10, 4) DEFAULT 0,
                metadata JSONB DEFAULT '{}',
                created_by TEXT,
                created_at TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'),
                updated_at TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC'),
                UNIQUE (provider, key_name)
            )$sql$, place);
    END IF;

    IF to_regclass('active_providers') IS NULL THEN
        EXECUTE format($sql$
            CREATE TABLE %I.active_providers (
                purpose TEXT PRIMARY KEY,
                provider_type TEXT NOT NULL,
                provider_id INTEGER NOT NULL,
                fallback_provider_type TEXT,
                fallback_provider_id INTEGER,
                updated_by TEXT,
                updated_at TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC')
            )$sql$, place);
    END IF;

    IF to_regclass('llm_config_audit') IS NULL THEN
        EXECUTE format($sql$
            CREATE TABLE %I.llm_config_audit (
                id SERIAL PRIMARY KEY,
                action TEXT NOT NULL,
                entity_type TEXT NOT NULL,
                entity_id TEXT,
                user_id TEXT,
                changes JSONB,
                timestamp TIMESTAMP DEFAULT (now() AT TIME ZONE 'UTC')
            )$sql$, place);
    END IF;
END
$$;
