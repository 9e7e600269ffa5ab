"""Opens and seals the stored keys of providers, and keeps our own encryption keys in their file."""

from monitor.keyring.env_file import add_to_env_file
from monitor.keyring.key_file import load_or_create, read_keys, replace_keys
from monitor.keyring.ring import VARIABLE, Keyring, KeyringError, generate, is_token

__all__ = [
    "VARIABLE",
    "Keyring",
    "KeyringError",
    "add_to_env_file",
    "generate",
    "is_token",
    "load_or_create",
    "read_keys",
    "replace_keys",
]
