"""Tells a stored key that does not open from an encryption key of ours that opens nothing."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

from monitor.domain.configuration import Configuration
from monitor.domain.provider import ProviderRef
from monitor.domain.rows import ConfigurationRows, KeyRow, ServerRow
from monitor.domain.target import KeyringUnfit, KeyUndecryptable, SealedKey
from monitor.keyring import is_token

_AT_ONCE = 50
_NEVER_SEALED = "what is stored as its key was never sealed: store the key anew"
_OURS = (
    "its key does not open, nor does any other: the fault is taken to be ours, and nothing moves for it: "
    "mend BYOK_ENCRYPTION_KEY"
)
_ITS_OWN = (
    "its key does not open: store it anew, or name the key that sealed it in MONITOR_OLD_ENCRYPTION_KEYS"
)


class CheckKeys:
    """Tries every stored key whenever the rows are read.

    One that does not open while others do is its row's fault: the provider is blocked like one whose key
    is refused. When not one opens, the fault is taken to be ours, and no provider's: nothing moves for it.

    Attributes:
        none_opens: there are sealed keys, and none of them opens.
        mended: the rows whose key did not open the last time but one, and did the last time.
    """

    def __init__(self, unseal: Callable[[SealedKey], str]) -> None:
        """Try keys.

        Args:
            unseal: raises KeyUndecryptable when no key of ours opens this one.
        """
        self._unseal = unseal
        self._opened: set[str] = set()
        self._closed: frozenset[ProviderRef] = frozenset()
        self.none_opens = False
        self.mended: frozenset[ProviderRef] = frozenset()

    def unseal(self, sealed: SealedKey) -> str:
        """The key in plain text.

        Raises:
            KeyUndecryptable: it does not open.
            KeyringUnfit: nor does any other.
        """
        try:
            return self._unseal(sealed)
        except KeyUndecryptable as error:
            if self.none_opens and is_token(sealed):
                raise KeyringUnfit(str(error)) from None
            raise

    async def look(self, rows: ConfigurationRows, configuration: Configuration) -> Configuration:
        """Name the keys of enabled rows that do not open among the problems."""
        stored = list(_sealed(rows))
        closed = []
        for count, (row, key) in enumerate(stored):
            if not self._opens(key):
                closed.append((row, key))
            if count % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)  # thousands of keys must not hold up the probes that are due meanwhile
        self._opened.intersection_update(key.text for _, key in stored)
        tokens = [key for _, key in stored if is_token(key)]
        self.none_opens = bool(tokens) and not any(key.text in self._opened for key in tokens)
        before, self._closed = self._closed, frozenset(row.ref for row, _ in closed)
        self.mended = before - self._closed
        problems = dict(configuration.problems)
        for row, key in closed:
            if row.enabled:
                known = problems.get(str(row.ref))
                head = f"{known}; " if known else f"{row.ref} ({configuration.names[row.ref]}): "
                problems[str(row.ref)] = head + self._complain(key)
        return replace(configuration, problems=problems)

    def _opens(self, key: SealedKey) -> bool:
        if key.text not in self._opened:
            try:
                self._unseal(key)
            except KeyUndecryptable:
                return False
            self._opened.add(key.text)
        return True

    def _complain(self, key: SealedKey) -> str:
        if not is_token(key):
            return _NEVER_SEALED
        return _OURS if self.none_opens else _ITS_OWN


def _sealed(rows: ConfigurationRows) -> Iterator[tuple[ServerRow | KeyRow, SealedKey]]:
    for server in rows.servers:
        if server.api_key is not None and server.api_key.encrypted:
            yield server, server.api_key
    for row in rows.keys:
        yield row, row.key
