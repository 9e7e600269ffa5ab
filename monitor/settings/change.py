"""What of settings read again a running daemon can take up, and what waits for its restart."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from monitor.domain.policy import Policy
from monitor.domain.provider import Purpose
from monitor.settings.model import DatabaseSettings, Settings
from monitor.settings.names import PROVIDER_KEYS

WHILE_RUNNING = frozenset(
    {
        "policy",
        "purpose_policies",
        "log_level",
        "log_format",
        "allowed_hosts",
        "trust_proxy",
        "retention_days",
        "retention_hourly_days",
        "retention_daily_days",
    }
)
"""Fields of Settings whose users ask each time, or are told; everything else is built in at the start."""

_ABOUT = frozenset({"origins", "warnings"})
_DATABASE = {
    "url": "database_url",
    "host": "postgres_host",
    "port": "postgres_port",
    "user": "postgres_user",
    "password": "postgres_password",
    "database": "postgres_db",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """The difference of two readings.

    Attributes:
        settings: to run with from now on: what can change as it was read, all else as it is in force.
        taken_up: names of what has changed and is in force with them.
        waiting: names of what has changed and wants a restart.
    """

    settings: Settings
    taken_up: tuple[str, ...]
    waiting: tuple[str, ...]


def compare(running: Settings, read: Settings) -> SettingsChange:
    """What has changed, by the settings' own names; never a value.

    Args:
        running: in force.
        read: just now.
    """
    taken_up: list[str] = []
    waiting: list[str] = []
    for field in fields(Settings):
        before, after = getattr(running, field.name), getattr(read, field.name)
        if field.name not in _ABOUT and before != after:
            names = taken_up if field.name in WHILE_RUNNING else waiting
            names += _names(field.name, before, after)
    mixed = replace(running, **{name: getattr(read, name) for name in WHILE_RUNNING}, warnings=read.warnings)
    return SettingsChange(settings=mixed, taken_up=tuple(taken_up), waiting=tuple(waiting))


def _names(field: str, before: object, after: object) -> Iterator[str]:
    match field, before, after:
        case "policy", Policy(), Policy():
            yield from (f"policy.{name}" for name in _differing(before, after))
        case "purpose_policies", dict(), dict():
            for purpose in Purpose:
                one, two = before.get(purpose), after.get(purpose)
                if one is None or two is None:
                    if one is not two:
                        yield f"purposes.{purpose}"
                else:
                    yield from (f"purposes.{purpose}.{name}" for name in _differing(one, two))
        case "database", _, _:
            one, two = before or DatabaseSettings(), after or DatabaseSettings()
            yield from (_DATABASE[name] for name in _differing(one, two))
        case "provider_keys", dict(), dict():
            for provider, variable in PROVIDER_KEYS.items():
                if before.get(provider) != after.get(provider):
                    yield variable.lower()
        case _:
            yield field


def _differing(one: object, two: object) -> Iterator[str]:
    assert isinstance(one, Policy | DatabaseSettings)  # noqa: S101 - for the type alone
    return (field.name for field in fields(one) if getattr(one, field.name) != getattr(two, field.name))
