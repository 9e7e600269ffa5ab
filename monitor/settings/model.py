"""What the program runs with: one frozen object, read once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from monitor.domain.policy import Policy
from monitor.domain.target import Purpose
from monitor.settings.door import LogFormat, LogLevel
from monitor.settings.names import PROVIDER_KEYS, VARIABLES
from monitor.settings.policies import show_duration

_MASK = "****"
_SECRET_WORDS = ("password", "sslpassword")
"""Of a database URL, behind its question mark."""
_VARIABLE = re.compile(r"[A-Z][A-Z_]+\b")
_BY_VARIABLE = {variable: name for name, variable in VARIABLES.items()}
_PLAIN = (
    "data_dir",
    "host",
    "port",
    "metrics_listen",
    "allowed_hosts",
    "tls_cert",
    "tls_key",
    "trust_proxy",
    "log_level",
    "log_format",
    "pg_group",
    "retention_days",
    "retention_hourly_days",
    "retention_daily_days",
    "concurrency",
    "upstream_concurrency",
    "allow_metadata_addresses",
)


class Listen(NamedTuple):
    """An address of our own to answer on."""

    host: str
    port: int


class Effective(NamedTuple):
    """One line of `llm-monitor config`: a setting, its value as it may be shown, and where it came from."""

    name: str
    shown: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """A PostgreSQL that is not ours.

    Attributes:
        url: DATABASE_URL as written, or None when the parts name the database; then `host` is set.
        host: a name, an address or a socket's folder.
        port: TCP port.
        user: the role, or None for the account's own.
        password: None without one; with a URL, only when the URL holds none.
        database: its name, or None for the role's own.
    """

    url: SecretStr | None = None
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: SecretStr | None = None
    database: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings.

    Attributes:
        encryption_key: the Fernet key of stored keys; None with our own database, whose folder holds one.
        old_encryption_keys: earlier ones, which still open what they sealed.
        database: the database to use; None starts our own in the data folder.
        provider_keys: keys that the environment offers for adoption, by provider.
        data_dir: absolute; holds our own database and what must survive a restart.
        host: where the HTTP door listens.
        port: its port; 0 takes any free one.
        metrics_listen: where the open endpoints listen too, or None.
        allowed_hosts: names under which the HTTP door may be asked, besides its own.
        tls_cert: the certificate of the HTTP door with its chain, PEM, or None; then there is a key too.
        tls_key: its private key.
        trust_proxy: addresses and networks of proxies whose X-Forwarded-For and -Proto are believed.
        log_level: the least severe level that is written.
        log_format: `auto` is `console` on a terminal and `json` elsewhere.
        pg_group: the group that may use our own database's socket, or None.
        retention_days: how long single results are kept.
        retention_hourly_days: how long their sums by the hour are kept, and minutes; not shorter.
        retention_daily_days: how long their sums by the day are kept; not shorter.
        concurrency: probes at once, overall.
        upstream_concurrency: probes at once, for each upstream.
        allow_metadata_addresses: whether rows may name link-local and cloud metadata addresses.
        policy: for every purpose that has none of its own.
        purpose_policies: purposes with changes of their own; whole policies.
        origins: where each given value came from, by name (`port`, `policy.fall`, `purposes.chat.fall`).
        warnings: one line each for what looks like a mistake and stops nothing.
    """

    encryption_key: SecretStr | None = None
    old_encryption_keys: tuple[SecretStr, ...] = ()
    database: DatabaseSettings | None = None
    provider_keys: Mapping[str, SecretStr] = field(default_factory=dict)
    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 9780
    metrics_listen: Listen | None = None
    allowed_hosts: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trust_proxy: tuple[str, ...] = ()
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"
    pg_group: str | None = None
    retention_days: int = 14
    retention_hourly_days: int = 90
    retention_daily_days: int = 730
    concurrency: int = 128
    upstream_concurrency: int = 16
    allow_metadata_addresses: bool = False
    policy: Policy = field(default_factory=Policy)
    purpose_policies: Mapping[Purpose, Policy] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def policy_for(self, purpose: Purpose | None) -> Policy:
        """The policy of a purpose; of none, the general one."""
        return self.purpose_policies.get(purpose, self.policy) if purpose is not None else self.policy

    def origin(self, name: str, otherwise: str = "") -> str:
        """Where a setting was given, as an error's message begins: a variable, or a file and its key."""
        return self.origins.get(name, otherwise or name).removeprefix("environment ")

    def database_named_by(self) -> str:
        """What to mend when the database is the wrong one."""
        if self.database is None:
            return self.origin("data_dir", "MONITOR_DATA_DIR")
        names = ("database_url",) if self.database.url is not None else ("postgres_host", "postgres_db")
        return self.origin(next((name for name in names if name in self.origins), names[0]))

    def place(self, message: str) -> str:
        """A message that begins with a setting's variable, beginning with where it was given instead."""
        said = _VARIABLE.match(message)
        name = _BY_VARIABLE.get(said[0], "") if said is not None else ""
        return message if said is None or not name else self.origin(name, said[0]) + message[said.end() :]

    def secrets(self) -> tuple[str, ...]:
        """Every secret that these settings hold, in plain text, for the redactor of logs."""
        held = [self.encryption_key, *self.old_encryption_keys, *self.provider_keys.values()]
        if self.database is not None:
            held.append(self.database.password)
        plain = [secret.get_secret_value() for secret in held if secret is not None]
        if self.database is not None and self.database.url is not None:
            # The address itself may be told; with a password in it the whole of it may not.
            url = self.database.url.get_secret_value()
            words = parse_qsl(urlsplit(url).query)
            inside = [*url_passwords(url), *(word for name, word in words if name in _SECRET_WORDS)]
            plain += [url, *inside] if inside else []
        return tuple(secret for secret in plain if secret)

    def effective(self) -> list[Effective]:
        """Every setting with its value, secrets masked, and where the value came from."""
        database = self.database or DatabaseSettings()
        shown: dict[str, object] = {
            "encryption_key": self.encryption_key,
            "old_encryption_keys": self.old_encryption_keys,
            "database_url": database.url and _show_url(database.url.get_secret_value()),
            "postgres_host": database.host,
            "postgres_port": database.port,
            "postgres_user": database.user,
            "postgres_password": database.password,
            "postgres_db": database.database,
        }
        shown |= {name: getattr(self, name) for name in _PLAIN}
        shown |= {
            variable.lower(): self.provider_keys.get(provider) for provider, variable in PROVIDER_KEYS.items()
        }
        shown |= {f"policy.{one.name}": getattr(self.policy, one.name) for one in fields(Policy)}
        for purpose, policy in self.purpose_policies.items():
            names = [one.name for one in fields(Policy) if f"purposes.{purpose}.{one.name}" in self.origins]
            shown |= {f"purposes.{purpose}.{name}": getattr(policy, name) for name in names}
        return [
            Effective(name, _show(value), self.origins.get(name, "default")) for name, value in shown.items()
        ]


def url_passwords(url: str) -> list[str]:
    """The password before a database URL's host, as written and decoded; empty without one."""
    password = urlsplit(url).password
    return [password, unquote(password)] if password else []


def _show(value: object) -> str:
    match value:
        case None | ():
            return ""
        case SecretStr():
            return _MASK
        case Listen(host, port):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case tuple():
            return ", ".join(_show(one) for one in value)
        case timedelta():
            return show_duration(value)
        case _:
            return str(value)


def _show_url(url: str) -> str:
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    who = f"{user}:{_MASK}@" if password else f"{user}@" if user else ""
    query = "?" + _MASK if parts.query else ""
    return f"{parts.scheme}://{who}{place}{parts.path}{query}"
