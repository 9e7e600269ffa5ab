"""Settings from the environment, `.env` files, systemd credentials and TOML, as one frozen object."""

from monitor.settings.loading import load_settings
from monitor.settings.model import DatabaseSettings, Effective, Listen, Settings
from monitor.settings.names import PROVIDER_KEYS, SettingsError
from monitor.settings.policies import PolicyError, change_policy, parse_duration, show_duration

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
