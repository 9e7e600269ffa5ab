"""An existing application: its tables in both spellings, rows in them, its pool, and its own SQL."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import asyncpg

from monitor.keyring import Keyring, generate
from monitor.storage.address import Address

Spelling = Literal["text", "varchar"]
Codec = Literal["none", "text", "python", "no statement cache"]
SPELLINGS: tuple[Spelling, ...] = ("text", "varchar")
CODECS: tuple[Codec, ...] = ("none", "text", "python", "no statement cache")

ENCRYPTION_KEY = generate()
OLD_SERVER_KEY = "sk-old-server-0123456789wxyz"
OLD_API_KEY = "sk-or-v1-old-0123456789a1b2"


def tables(spelling: Spelling) -> str:
    """The application's own DDL."""
    short, long = ("TEXT", "TEXT") if spelling == "text" else ("VARCHAR(100)", "VARCHAR(500)")
    time = "timestamp" if spelling == "text" else "created_at"
    return f"""
    CREATE TABLE ai_servers (
        id SERIAL PRIMARY KEY, name {short} UNIQUE NOT NULL, server_type {short} NOT NULL,
        base_url {long} NOT NULL, api_key {long}, model_path {long}, enabled BOOLEAN DEFAULT true,
        use_for_chat BOOLEAN DEFAULT false, use_for_embeddings BOOLEAN DEFAULT false,
        use_for_reranking BOOLEAN DEFAULT false, last_health_check TIMESTAMP, health_status {short},
        metadata JSONB DEFAULT '{{}}', created_by {short}, created_at TIMESTAMP DEFAULT now(),
        updated_at TIMESTAMP DEFAULT now());
    CREATE TABLE llm_api_keys (
        id SERIAL PRIMARY KEY, provider {short} NOT NULL, key_name {short} NOT NULL,
        encrypted_key TEXT NOT NULL, enabled BOOLEAN DEFAULT true, use_for_ops_center BOOLEAN DEFAULT false,
        last_used TIMESTAMP, requests_count INTEGER DEFAULT 0, tokens_used BIGINT DEFAULT 0,
        cost_usd NUMERIC(10,4) DEFAULT 0, metadata JSONB DEFAULT '{{}}', created_by {short},
        created_at TIMESTAMP DEFAULT now(), updated_at TIMESTAMP DEFAULT now(), UNIQUE (provider, key_name));
    CREATE TABLE active_providers (
        purpose {short} PRIMARY KEY, provider_type {short} NOT NULL, provider_id INTEGER NOT NULL,
        fallback_provider_type {short}, fallback_provider_id INTEGER, updated_by {short},
        updated_at TIMESTAMP DEFAULT now());
    CREATE TABLE llm_config_audit (
        id SERIAL PRIMARY KEY, action {short} NOT NULL, entity_type {short} NOT NULL, entity_id {short},
        user_id {short}, changes JSONB, {time} TIMESTAMP DEFAULT now());
    """


async def make(connection: Any, spelling: Spelling) -> None:
    """The tables, a server with its key in plain text, a sealed key, and who serves chat."""
    await connection.execute("SET timezone = 'UTC'")
    await connection.execute(tables(spelling))
    await connection.execute(
        "INSERT INTO ai_servers (name, server_type, base_url, api_key, model_path, use_for_chat, metadata)"
        " VALUES ('gpu', 'vllm', 'http://127.0.0.1:9', $1, 'm', true, '{\"rack\": 7}')",
        OLD_SERVER_KEY,
    )
    await connection.execute(
        "INSERT INTO llm_api_keys (provider, key_name, encrypted_key, cost_usd, tokens_used, last_used)"
        " VALUES ('openrouter', 'main', $1, 1.25, 9000000000, '2026-01-02 03:04:05')",
        Keyring(ENCRYPTION_KEY).seal(OLD_API_KEY).text,
    )
    await connection.execute(
        "INSERT INTO active_providers (purpose, provider_type, provider_id, fallback_provider_type,"
        " fallback_provider_id, updated_by) VALUES ('chat', 'ai_server', 1, 'api_key', 1, 'alice')"
    )


@asynccontextmanager
async def pool_of(address: Address, codec: Codec) -> AsyncIterator[asyncpg.Pool]:
    """The application's pool, with JSON its own way."""

    async def init(connection: Any) -> None:
        if codec in ("text", "python"):
            encode, decode = (str, str) if codec == "text" else (json.dumps, json.loads)
            await connection.set_type_codec("jsonb", encoder=encode, decoder=decode, schema="pg_catalog")

    more = {"statement_cache_size": 0} if codec == "no statement cache" else {}
    async with asyncpg.create_pool(**address.arguments(), min_size=1, max_size=4, init=init, **more) as pool:
        yield pool
