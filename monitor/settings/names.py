"""Which settings exist, and what each is called in the environment."""

from difflib import get_close_matches

VARIABLES = {
    "encryption_key": "BYOK_ENCRYPTION_KEY",
    "old_encryption_keys": "MONITOR_OLD_ENCRYPTION_KEYS",
    "database_url": "DATABASE_URL",
    "postgres_host": "POSTGRES_HOST",
    "postgres_port": "POSTGRES_PORT",
    "postgres_user": "POSTGRES_USER",
    "postgres_password": "POSTGRES_PASSWORD",
    "postgres_db": "POSTGRES_DB",
    "data_dir": "MONITOR_DATA_DIR",
    "host": "MONITOR_HOST",
    "port": "MONITOR_PORT",
    "metrics_listen": "MONITOR_METRICS_LISTEN",
    "allowed_hosts": "MONITOR_ALLOWED_HOSTS",
    "tls_cert": "MONITOR_TLS_CERT",
    "tls_key": "MONITOR_TLS_KEY",
    "trust_proxy": "MONITOR_TRUST_PROXY",
    "log_level": "MONITOR_LOG_LEVEL",
    "log_format": "MONITOR_LOG_FORMAT",
    "pg_group": "MONITOR_PG_GROUP",
    "retention_days": "MONITOR_RETENTION_DAYS",
    "retention_hourly_days": "MONITOR_RETENTION_HOURLY_DAYS",
    "retention_daily_days": "MONITOR_RETENTION_DAILY_DAYS",
    "concurrency": "MONITOR_CONCURRENCY",
    "upstream_concurrency": "MONITOR_UPSTREAM_CONCURRENCY",
    "allow_metadata_addresses": "MONITOR_ALLOW_METADATA_ADDRESSES",
}
"""The environment's name of every setting; its own name is its TOML key and its credential's file name."""

PROVIDER_KEYS = {
    "openrouter": "OPENROUTER_API_KEY",
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GEMINI_API_KEY",
    "cohere": "COHERE_API_KEY",
    "together": "TOGETHER_API_KEY",
    "fireworks": "FIREWORKS_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
}
"""By provider, the variable in which an operator already keeps its key."""

VARIABLES |= {variable.lower(): variable for variable in PROVIDER_KEYS.values()}

SECRETS = frozenset(
    {"encryption_key", "old_encryption_keys", "database_url", "postgres_password"}
    | {variable.lower() for variable in PROVIDER_KEYS.values()}
)
"""Settings that are never shown; each may also be named by a file, in its variable with `_FILE` appended."""

OUTSIDE = SECRETS | {"postgres_host", "postgres_port", "postgres_user", "postgres_db"}
"""What belongs to the application around us; a demonstration heeds none of it."""


class SettingsError(Exception):
    """The configuration cannot be used; one line that names the setting and the mend, without a secret."""


def nearest(name: str, known: list[str]) -> str:
    """The known name that looks most like a wrong one."""
    return get_close_matches(name, known, n=1, cutoff=0.0)[0]
