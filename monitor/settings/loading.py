"""Reads all places where settings are written and makes one object of them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from monitor.domain.policy import Policy
from monitor.domain.target import Purpose
from monitor.settings.door import Door, open_door
from monitor.settings.layers import read_layers
from monitor.settings.model import DatabaseSettings, Listen, Settings, url_passwords
from monitor.settings.names import PROVIDER_KEYS, VARIABLES, SettingsError
from monitor.settings.policies import PolicyError, change_policy
from monitor.settings.sources import Layer


def load_settings(
    config: Path | None,
    env: Mapping[str, str],
    env_file: Path | None = None,
    ignore_outside: bool = False,
) -> Settings:
    """Read the settings from all places; the first one that speaks wins.

    In order: environment, `.env` file, systemd credentials, `*_FILE` variables, TOML, defaults.

    Args:
        config: the TOML file; None for the one that MONITOR_CONFIG names, if any.
        env: the environment.
        env_file: a `.env` file, or None.
        ignore_outside: heed no database, no secret and no MONITOR_CONFIG of the surroundings.

    Raises:
        SettingsError: something cannot be used; one line that names it and the mend.
    """
    read = read_layers(config, env, env_file, ignore_outside)
    return _build(read.layers, read.variables, read.warnings)


def default_data_dir(env: Mapping[str, str], name: str = "llm-monitor") -> Path:
    """Where data lives when nothing is said: /var/lib for root, else the XDG data home.

    Raises:
        SettingsError: this account has no home.
    """
    if os.geteuid() == 0:
        return Path("/var/lib") / name
    named = env.get("XDG_DATA_HOME", "")
    if Path(named).is_absolute():
        return Path(named) / name
    home = Path(env.get("HOME", ""))
    try:
        return (home if home.is_absolute() else Path.home()) / ".local/share" / name
    except RuntimeError:
        raise SettingsError(
            f"MONITOR_DATA_DIR: this account (uid {os.geteuid()}) has no home; "
            "name a folder that it may write to there, or by --data-dir"
        ) from None


def _build(layers: list[Layer], env: Mapping[str, str], warnings: list[str]) -> Settings:
    given = {name: entry for layer in reversed(layers) for name, entry in layer.items()}
    door = open_door(layers)
    policy, purpose_policies = _policies(given)
    hourly, daily = _retention(door, given)
    _check_certificate(given)
    plain = (
        "host",
        "port",
        "allowed_hosts",
        "tls_cert",
        "tls_key",
        "trust_proxy",
        "log_level",
        "log_format",
        "pg_group",
        "retention_days",
        "concurrency",
    )
    return Settings(
        encryption_key=door.encryption_key,
        old_encryption_keys=door.old_encryption_keys,
        database=_database(door),
        provider_keys=_provider_keys(given),
        data_dir=door.data_dir or default_data_dir(env),
        metrics_listen=Listen(*door.metrics_listen) if door.metrics_listen else None,
        retention_hourly_days=hourly,
        retention_daily_days=daily,
        upstream_concurrency=door.upstream_concurrency,
        allow_metadata_addresses=door.allow_metadata_addresses,
        policy=policy,
        purpose_policies=purpose_policies,
        origins={name: entry.origin for name, entry in given.items()},
        warnings=tuple(warnings),
        **{name: getattr(door, name) for name in plain},
    )


def _check_certificate(given: Layer) -> None:
    for one, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if one in given and other not in given:
            raise SettingsError(
                f"{given[one].place}: wants {other} ({VARIABLES[other]}) too; name both files, or neither"
            )


def _retention(door: Door, given: Layer) -> tuple[int, int]:
    """How long sums by the hour and by the day are kept: whatever is coarser is kept for at least as long."""
    kept, of_what = door.retention_days, "single results"
    found = []
    for name, what in (
        ("retention_hourly_days", "sums by the hour"),
        ("retention_daily_days", "sums by the day"),
    ):
        days: int = getattr(door, name)
        if name in given and days < kept:
            raise SettingsError(
                f"{given[name].place}: {what} are kept at least as long as {of_what}: "
                f"write {kept} days or more"
            )
        kept, of_what = max(days, kept), what
        found.append(kept)
    return found[0], found[1]


def _database(door: Door) -> DatabaseSettings | None:
    if door.database_url is not None:
        url = door.database_url.get_secret_value()
        named = url_passwords(url) or parse_qs(urlsplit(url).query).get("password")
        return DatabaseSettings(url=door.database_url, password=None if named else door.postgres_password)
    if door.postgres_host is None and door.postgres_db is None:
        return None
    return DatabaseSettings(
        host=door.postgres_host or "localhost",
        port=door.postgres_port,
        user=door.postgres_user,
        password=door.postgres_password,
        database=door.postgres_db,
    )


def _provider_keys(given: Layer) -> dict[str, SecretStr]:
    keys = {}
    for provider, variable in PROVIDER_KEYS.items():
        entry = given.get(variable.lower())
        if entry is not None:
            if not isinstance(entry.value, str) or not entry.value.strip():
                raise SettingsError(f"{entry.place}: is no text; write the key in quotes, or leave it out")
            keys[provider] = SecretStr(entry.value)
    return keys


def _policies(given: Layer) -> tuple[Policy, dict[Purpose, Policy]]:
    general = _changed(Policy(), "policy.", given, ())
    purposes = {}
    for purpose in Purpose:
        prefix = f"purposes.{purpose}."
        if any(name.startswith(prefix) for name in given):
            purposes[purpose] = _changed(general, prefix, given, ("policy.",))
    return general, purposes


def _changed(base: Policy, prefix: str, given: Layer, outer: tuple[str, ...]) -> Policy:
    changes: dict[str, Any] = {
        name.removeprefix(prefix): entry.value for name, entry in given.items() if name.startswith(prefix)
    }
    try:
        return change_policy(base, changes)
    except PolicyError as error:
        blamed = [
            given[start + name] for start in (prefix, *outer) for name in error.names if start + name in given
        ]
        raise SettingsError(f"{blamed[0].place}: {error.reason}") from None
