"""Settings from the environment, `.env` files, systemd credentials and TOML, as one frozen object."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from monitor.settings.names import PROVIDER_KEYS, SettingsError
from monitor.settings.policies import PolicyError, change_policy, parse_duration, show_duration

if TYPE_CHECKING:
    from monitor.settings.loading import load_settings
    from monitor.settings.model import DatabaseSettings, Effective, Listen, Settings

__all__ = [
    "PROVIDER_KEYS",
    "DatabaseSettings",
    "Effective",
    "Listen",
    "PolicyError",
    "Settings",
    "SettingsError",
    "change_policy",
    "load_settings",
    "parse_duration",
    "show_duration",
]

_LATER = {
    "load_settings": "monitor.settings.loading",
    **dict.fromkeys(("DatabaseSettings", "Effective", "Listen", "Settings"), "monitor.settings.model"),
}
"""What takes long to import; a health check every few seconds does without."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
