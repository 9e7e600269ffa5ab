"""Opens and seals the stored keys of providers."""

import base64
import hmac
from collections.abc import Callable, Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from monitor.domain.target import KeyUndecryptable, SealedKey

VARIABLE = "BYOK_ENCRYPTION_KEY"
_OLD_VARIABLE = "MONITOR_OLD_ENCRYPTION_KEYS"
_MEND = "llm-monitor generate-key makes one"
_ID_CHARACTERS = 16
_TOKEN_FRAME, _BLOCK = 57, 16  # version, time, vector and signature; the rest are blocks of AES


class KeyringError(Exception):
    """Our own encryption key cannot be used; one line that names the place and the mend, without a key."""


class Keyring:
    """The keys that open what is stored; the current one seals.

    Attributes:
        ids: names of the keys, the current one's first: they tell keys apart, and are made of them one way.
    """

    def __init__(
        self,
        current: str | bytes,
        old: Sequence[str | bytes] = (),
        *,
        reread: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        """Take the keys.

        Args:
            current: a Fernet key, 44 characters.
            old: earlier keys, which still open what they sealed.
            reread: the keys as they stand now where they are kept, the current one first: asked when a stored
                key does not open, for somebody may have rotated them.

        Raises:
            KeyringError: one of them is no Fernet key.
        """
        self._old = tuple(old)
        self._reread = reread
        self._take(current, ())

    def __repr__(self) -> str:
        return f"Keyring(****, keys={len(self.ids)})"

    def unseal(self, sealed: SealedKey) -> str:
        """The key in plain text; one that was never encrypted as it stands.

        Raises:
            KeyUndecryptable: no key of ours opens it.
        """
        if not sealed.encrypted:
            return sealed.text
        token = sealed.text.strip().encode()
        for look_again in (True, False):
            try:
                return self._fernets.decrypt(token).decode()
            except (InvalidToken, UnicodeError):
                if not look_again or not self._found_others():
                    raise KeyUndecryptable(
                        f"the stored key opens with neither {VARIABLE} nor {_OLD_VARIABLE}: "
                        "another one sealed it"
                    ) from None
        raise AssertionError("the second look returns or raises")

    def seal(self, plaintext: str) -> SealedKey:
        """Encrypt a key with the current one."""
        return SealedKey(self._fernets.encrypt(plaintext.encode()).decode())

    def is_current(self, sealed: SealedKey) -> bool:
        """Whether the current key alone opens it."""
        try:
            self._current.decrypt(sealed.text.strip().encode())
        except (InvalidToken, UnicodeError):
            return False
        return sealed.encrypted

    def refresh(self) -> bool:
        """Look at where the keys are kept; whether they are others than before.

        Raises:
            KeyringError: they cannot be read; the ones that are known stay.
        """
        if self._reread is None:
            return False
        before = self.ids
        current, *more = self._reread()
        self._take(current, more)
        return self.ids != before

    def _found_others(self) -> bool:
        try:
            return self.refresh()
        except KeyringError:
            return False

    def _take(self, current: str | bytes, more: Sequence[str]) -> None:
        self._current = _fernet(current, VARIABLE)
        keys = [current, *more, *self._old]
        self._fernets = MultiFernet([self._current, *(_fernet(key, _OLD_VARIABLE) for key in keys[1:])])
        self.ids = tuple(dict.fromkeys(_id(key) for key in keys))


def generate() -> str:
    """A new encryption key."""
    return Fernet.generate_key().decode()


def _fernet(key: str | bytes, place: str) -> Fernet:
    try:
        return Fernet(key.strip())
    except (ValueError, TypeError):
        raise KeyringError(
            f"{place}: is no encryption key (44 characters of URL-safe base64); {_MEND}"
        ) from None


def is_token(sealed: SealedKey) -> bool:
    """Whether this is a sealed key at all, whichever key sealed it; what was typed in by hand is none."""
    try:
        token = base64.urlsafe_b64decode(sealed.text.strip().encode())
    except (ValueError, UnicodeError):
        return False
    blocks = len(token) - _TOKEN_FRAME
    return sealed.encrypted and token[:1] == b"\x80" and blocks >= _BLOCK and blocks % _BLOCK == 0


def check_key(key: str, place: str) -> None:
    """See that this is an encryption key.

    Raises:
        KeyringError: it is none; the message names the place.
    """
    _fernet(key, place)


def _id(key: str | bytes) -> str:
    raw = key.encode() if isinstance(key, str) else key
    return hmac.digest(raw.strip(), b"llm-monitor: the name of this key", "sha256").hex()[:_ID_CHARACTERS]
