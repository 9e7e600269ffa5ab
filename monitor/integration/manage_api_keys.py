"""The keys of hosted providers: read, added, changed, deleted, tested."""

from typing import Any, TypedDict, Unpack

from monitor.domain.provider import ProviderRef, ProviderType
from monitor.domain.target import SealedKey
from monitor.integration.fields import read_fields, read_who
from monitor.integration.held import Held, away_told
from monitor.integration.key_change import key_change
from monitor.integration.probes import test_row
from monitor.integration.shown import show_api_key
from monitor.storage.provider_rows import API_KEYS, delete_row, find_row, insert_row, list_rows, update_row
from monitor.storage.refusals import RowMissing

_NEW: dict[str, object] = {"enabled": True, "use_for_ops_center": False, "metadata": None}


class ApiKeyOptions(TypedDict, total=False):
    """What a new key may say besides its provider, its name and itself.

    Attributes:
        enabled: whether it is to be used; it is.
        use_for_ops_center: the application's own mark.
        metadata: a JSON object; `docs/configuration.md` lists what we heed of it.
    """

    enabled: bool
    use_for_ops_center: bool
    metadata: dict[str, Any] | None


class ApiKeyChanges(ApiKeyOptions, total=False):
    """What may be changed of a key; what is left out stays as it is.

    Attributes:
        provider: `openrouter`, `openai`, ... or another that litellm knows.
        key_name: unique within the provider.
        api_key: in plain text; the mask that `masked_key` shows keeps the old one.
    """

    provider: str
    key_name: str
    api_key: str


class ApiKeyManagement(Held):
    """The part of the manager that concerns `llm_api_keys`.

    A key is a plain dictionary of the table's columns, instants aware and in UTC, without `encrypted_key`;
    instead `masked_key` (`****a1b2`) and `problem` (why it can't be opened, else None).
    Every refusal is a `Refused`, a ValueError that names the field and the mend; nothing is changed then.
    """

    async def list_api_keys(self, enabled_only: bool = False) -> list[dict[str, Any]]:
        """Every key, by id."""
        async with self.connection() as connection:
            rows = await list_rows(connection, API_KEYS, enabled_only=enabled_only)
        return [show_api_key(row, self.keyring) for row in rows]

    async def get_api_key(self, key_id: int, decrypt: bool = False) -> dict[str, Any] | None:
        """One key, or None.

        Args:
            key_id: the row.
            decrypt: add `api_key` in plain text (a string whose repr is masked).

        Raises:
            KeyUndecryptable: the plain key is wanted and no key of ours opens it.
        """
        async with self.connection() as connection:
            row = await find_row(connection, API_KEYS, key_id)
        return None if row is None else show_api_key(row, self.keyring, decrypt=decrypt)

    async def add_api_key(
        self,
        provider: str,
        key_name: str,
        api_key: str,
        *,
        created_by: str | None = None,
        user_id: str | None = None,
        **options: Unpack[ApiKeyOptions],
    ) -> dict[str, Any]:
        """Add a key; returns its row.

        Args:
            provider: `openrouter`, `openai`, ... or another that litellm knows.
            key_name: unique within the provider.
            api_key: in plain text; sealed before it is stored.
            created_by: stands in the row; `user_id` does without it.
            user_id: stands in the audit; `created_by` does without it.
            **options: see `ApiKeyOptions`.

        Raises:
            FieldRefused: a value can't be taken.
            NameTaken: the provider has a key of that name.
            KeyringMissing: there is nothing to seal it with.
        """
        given = {"provider": provider, "key_name": key_name, "api_key": api_key, **_NEW, **options}
        values = read_fields(ProviderType.API_KEY, given, self.catalog)
        values["encrypted_key"] = key_change(self.keyring, None, values.pop("api_key"))
        values["created_by"] = read_who(created_by, user_id, field="created_by")
        async with self.connection() as connection:
            row = await insert_row(connection, API_KEYS, values, read_who(user_id, created_by))
        return show_api_key(row, self.keyring)

    async def update_api_key(
        self, key_id: int, *, user_id: str | None = None, **changes: Unpack[ApiKeyChanges]
    ) -> dict[str, Any]:
        """Change a key; returns its row as it then stands.

        Args:
            key_id: the row.
            user_id: who does it; stands in the audit.
            **changes: see `ApiKeyChanges`; what is left out stays.

        Raises:
            FieldRefused: a value can't be taken.
            RowMissing: there is no such key.
            NameTaken: the provider has another key of that name.
            KeyringMissing: a key is given and there is nothing to seal it with.
        """
        who = read_who(user_id)
        async with self.connection() as connection:
            row = await find_row(connection, API_KEYS, key_id)
            if row is None:
                raise RowMissing(ProviderRef(type=ProviderType.API_KEY, id=key_id))
            shown = show_api_key(row, self.keyring)
            given = dict(changes)
            if given.get("api_key") == shown["masked_key"]:
                del given["api_key"]
            values = read_fields(ProviderType.API_KEY, given, self.catalog)
            if "api_key" in values:
                sealed = SealedKey(row["encrypted_key"])
                values["encrypted_key"] = key_change(self.keyring, sealed, values.pop("api_key"))
            row = await update_row(connection, API_KEYS, key_id, values, who)
        return show_api_key(row, self.keyring)

    async def delete_api_key(self, key_id: int, user_id: str | None = None) -> bool:
        """Delete a key that no purpose names; returns True.

        Raises:
            RowMissing: there is no such key.
            InUse: a purpose names it to serve, as the fallback, as a candidate or by a pin.
        """
        async with self.connection() as connection:
            await delete_row(connection, API_KEYS, key_id, read_who(user_id))
        return True

    async def test_api_key(self, key_id: int) -> dict[str, Any]:
        """Probe a hosted provider with a key now, enabled or not; counts like any other where a daemon acts.

        Returns:
            `key_id`, `success` (False for a key that is not accepted), `message` (without secrets) and
            `timestamp`.

        Raises:
            RowMissing: there is no such key.
        """
        ref = ProviderRef(type=ProviderType.API_KEY, id=key_id)
        async with self.connection() as connection:
            if await find_row(connection, API_KEYS, key_id) is None:
                raise RowMissing(ref)
        with away_told():
            found = await test_row(self, ref)
        return {"key_id": key_id, "success": found.success, "message": found.message, "timestamp": found.at}
