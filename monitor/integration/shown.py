"""Rows as an application and a person are given them: plain dictionaries, keys masked."""

from typing import Any

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.outcome import VOTES, Outcome, Vote
from monitor.domain.target import SealedKey
from monitor.integration.plain_key import shown_key, shown_url, unseal
from monitor.keyring import Keyring
from monitor.storage.provider_rows import Row
from monitor.storage.providers import read_server_key

_WORKS_BUT_NOT_NOW = frozenset({Outcome.BUSY, Outcome.RATE_LIMITED, Outcome.STARTING})


def show_server(row: Row, keyring: Keyring | None, *, decrypt: bool = False) -> dict[str, Any]:
    """A server's row with `masked_key` and `problem` instead of its key; decrypted with `api_key` too.

    Raises:
        KeyUndecryptable: the plain key is wanted and no key of ours opens it.
    """
    sealed = read_server_key(row["api_key"])
    shown = {name: value for name, value in row.items() if name != "api_key"}
    shown["base_url"] = shown_url(row["base_url"])
    if decrypt:
        shown["base_url"] = row["base_url"]
        shown["api_key"] = None if sealed is None else unseal(keyring, sealed)
    return shown | _told(keyring, sealed)


def show_api_key(row: Row, keyring: Keyring | None, *, decrypt: bool = False) -> dict[str, Any]:
    """A key's row with `masked_key` and `problem` instead of the token; decrypted with `api_key` too.

    Raises:
        KeyUndecryptable: the plain key is wanted and no key of ours opens it.
    """
    sealed = SealedKey(row["encrypted_key"])
    shown = {name: value for name, value in row.items() if name != "encrypted_key"}
    if decrypt:
        shown["api_key"] = unseal(keyring, sealed)
    return shown | _told(keyring, sealed)


def shown_status(outcome: Outcome) -> ApplicationStatus:
    """What one probe showed, in the application's word for a health."""
    if outcome is Outcome.OK:
        return ApplicationStatus.HEALTHY
    if outcome in _WORKS_BUT_NOT_NOW:
        return ApplicationStatus.DEGRADED
    return ApplicationStatus.UNKNOWN if VOTES[outcome] is Vote.NONE else ApplicationStatus.DOWN


def _told(keyring: Keyring | None, sealed: SealedKey | None) -> dict[str, str | None]:
    masked, problem = shown_key(keyring, sealed)
    return {"masked_key": masked, "problem": problem}
