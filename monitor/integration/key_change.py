"""What a written key becomes in its row."""

from monitor.domain.target import KeyUndecryptable, SealedKey
from monitor.integration.plain_key import KeyringMissing
from monitor.keyring import Keyring


def key_change(keyring: Keyring | None, before: SealedKey | None, key: str | None) -> str | None:
    """The text to store: sealed, and the same as before for the same key, so that nothing is probed anew.

    Raises:
        KeyringMissing: there is nothing to seal it with.
    """
    if key is None:
        return None
    if keyring is None:
        raise KeyringMissing
    if before is not None and before.encrypted and _opens_to(keyring, before, key):
        return before.text
    return keyring.seal(key).text


def _opens_to(keyring: Keyring, sealed: SealedKey, key: str) -> bool:
    try:
        return keyring.unseal(sealed) == key
    except KeyUndecryptable:
        return False
