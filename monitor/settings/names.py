"""Which settings exist, and what each is called in the environment."""

from difflib import get_close_matches
from typing import NamedTuple


class Setting(NamedTuple):
    """What one setting is called in the environment, and what it says.

    Attributes:
        variable: the environment's name.
        meaning: for the documentation, which is made of it.
        unit: of a number; else what kind of text it is, or "" where the meaning says so.
    """

    variable: str
    meaning: str
    unit: str = ""


SETTINGS = {
    "encryption_key": Setting(
        "BYOK_ENCRYPTION_KEY",
        "Seals the stored keys. The embedded database makes one of its own: `encryption.key` in its folder",
        "Fernet key",
    ),
    "old_encryption_keys": Setting(
        "MONITOR_OLD_ENCRYPTION_KEYS",
        "Earlier keys, which still open what they sealed; separated by commas or spaces",
        "Fernet keys",
    ),
    "database_url": Setting(
        "DATABASE_URL",
        "`postgresql://USER:PASSWORD@HOST:5432/NAME`; `postgresql+asyncpg://` is understood",
        "URL",
    ),
    "postgres_host": Setting(
        "POSTGRES_HOST", "The same in parts: a name, an address or a socket's folder", "host or path"
    ),
    "postgres_port": Setting("POSTGRES_PORT", "Its port", "port"),
    "postgres_user": Setting("POSTGRES_USER", "The role; else the account's own name", "name"),
    "postgres_password": Setting(
        "POSTGRES_PASSWORD", "The role's password; also used with a `DATABASE_URL` that holds none", "text"
    ),
    "postgres_db": Setting("POSTGRES_DB", "The database; else the role's name", "name"),
    "data_dir": Setting(
        "MONITOR_DATA_DIR",
        "The folder of the embedded database, and of results while a database is away",
        "path",
    ),
    "host": Setting("MONITOR_HOST", "Where the HTTP door listens", "host"),
    "port": Setting("MONITOR_PORT", "Its port; 0 takes any free one", "port"),
    "metrics_listen": Setting(
        "MONITOR_METRICS_LISTEN",
        "A second address for the open pages, such as `0.0.0.0:9781` for a scraper",
        "host:port",
    ),
    "allowed_hosts": Setting(
        "MONITOR_ALLOWED_HOSTS",
        "Names under which the HTTP door may be asked besides `MONITOR_HOST` and the loopback ones; "
        "separated by commas or spaces ([access.md](access.md))",
        "hosts",
    ),
    "tls_cert": Setting(
        "MONITOR_TLS_CERT",
        "The HTTP door's certificate and its chain, a PEM file; wants `tls_key` too",
        "path",
    ),
    "tls_key": Setting(
        "MONITOR_TLS_KEY", "The certificate's private key, a PEM file without a passphrase", "path"
    ),
    "trust_proxy": Setting(
        "MONITOR_TRUST_PROXY",
        "Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, such as `10.0.0.0/24`; "
        "separated by commas or spaces",
        "networks",
    ),
    "log_level": Setting("MONITOR_LOG_LEVEL", "`debug`, `info`, `warning`, `error` or `critical`", "word"),
    "log_format": Setting(
        "MONITOR_LOG_FORMAT", "`console`, `json`, or `auto`: `console` on a terminal, else `json`", "word"
    ),
    "pg_group": Setting(
        "MONITOR_PG_GROUP", "A group of this machine that may use the embedded database's socket", "name"
    ),
    "retention_days": Setting(
        "MONITOR_RETENTION_DAYS", "How long single probe results are kept; moves are kept for good", "days"
    ),
    "retention_hourly_days": Setting(
        "MONITOR_RETENTION_HOURLY_DAYS",
        "How long their sums by the hour are kept, and minutes up and down; at least `retention_days`",
        "days",
    ),
    "retention_daily_days": Setting(
        "MONITOR_RETENTION_DAILY_DAYS",
        "How long their sums by the day are kept; at least `retention_hourly_days`",
        "days",
    ),
    "concurrency": Setting("MONITOR_CONCURRENCY", "Probes under way at once", "probes"),
    "upstream_concurrency": Setting(
        "MONITOR_UPSTREAM_CONCURRENCY",
        "The same for each upstream (scheme, host and port)",
        "probes",
    ),
    "allow_metadata_addresses": Setting(
        "MONITOR_ALLOW_METADATA_ADDRESSES",
        "Whether rows may name link-local addresses and those of cloud metadata services; see "
        "[addresses](#addresses)",
        "true or false",
    ),
}
"""Every setting by its name, which is its TOML key and its credential's file name; its type is `Door`'s."""

VARIABLES = {name: one.variable for name, one in SETTINGS.items()}
"""The environment's name of every setting."""

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

SETTINGS |= {
    variable.lower(): Setting(
        variable, f"A key of {provider}, offered for adoption: `run --adopt-env` takes it up", "text"
    )
    for provider, variable in PROVIDER_KEYS.items()
}
VARIABLES |= {variable.lower(): variable for variable in PROVIDER_KEYS.values()}

SECRETS = frozenset(
    {"encryption_key", "old_encryption_keys", "database_url", "postgres_password"}
    | {variable.lower() for variable in PROVIDER_KEYS.values()}
)
"""Settings that are never shown; each may also be named by a file, in its variable with `_FILE` appended."""

OUTSIDE = SECRETS | {"postgres_host", "postgres_port", "postgres_user", "postgres_db", "tls_cert", "tls_key"}
"""What belongs to the application around us; a demonstration heeds none of it."""


class SettingsError(Exception):
    """The configuration cannot be used; one line that names the setting and the mend, without a secret."""


def nearest(name: str, known: list[str]) -> str:
    """The known name that looks most like a wrong one."""
    return get_close_matches(name, known, n=1, cutoff=0.0)[0]
