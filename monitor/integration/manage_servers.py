"""The application's own servers: read, added, changed, deleted, tested."""

from typing import Any, TypedDict, Unpack

from monitor.domain.provider import ProviderRef, ProviderType
from monitor.integration.fields import check_purposes, read_fields, read_who
from monitor.integration.held import Held, away_told
from monitor.integration.key_change import key_change
from monitor.integration.probes import list_models, test_row
from monitor.integration.shown import show_server, shown_status
from monitor.storage.provider_rows import SERVERS, delete_row, find_row, insert_row, list_rows, update_row
from monitor.storage.providers import read_server_key
from monitor.storage.refusals import RowMissing

_NEW: dict[str, object] = {
    "api_key": None,
    "model_path": None,
    "enabled": True,
    "use_for_chat": False,
    "use_for_embeddings": False,
    "use_for_reranking": False,
    "metadata": None,
}


class ServerOptions(TypedDict, total=False):
    """What a new server may say besides its name, type and address.

    Attributes:
        api_key: in plain text; sealed before it is stored. None for an open server.
        model_path: the model that it serves.
        enabled: whether it is to be used; it is.
        use_for_chat: whether it may serve chat.
        use_for_embeddings: likewise.
        use_for_reranking: likewise.
        metadata: a JSON object; `docs/configuration.md` lists what we heed of it.
    """

    api_key: str | None
    model_path: str | None
    enabled: bool
    use_for_chat: bool
    use_for_embeddings: bool
    use_for_reranking: bool
    metadata: dict[str, Any] | None


class ServerChanges(ServerOptions, total=False):
    """What may be changed of a server; what is left out stays as it is.

    Attributes:
        api_key: None takes the key away; the mask that `masked_key` shows keeps it.
        name: unique.
        server_type: `vllm`, `ollama`, `llamacpp`, `openai-compatible`.
        base_url: http or https, without credentials.
    """

    name: str
    server_type: str
    base_url: str


class ServerManagement(Held):
    """The part of the manager that concerns `ai_servers`.

    A server is a plain dictionary of the table's columns, instants aware and in UTC, without `api_key`;
    instead `masked_key` (`****a1b2`, None without a key) and `problem` (why it can't be opened, else None).
    Every refusal is a `Refused`, a ValueError that names the field and the mend; nothing is changed then.
    """

    async def list_ai_servers(self, enabled_only: bool = False) -> list[dict[str, Any]]:
        """Every server, by id."""
        async with self.connection() as connection:
            rows = await list_rows(connection, SERVERS, enabled_only=enabled_only)
        return [show_server(row, self.keyring) for row in rows]

    async def get_ai_server(self, server_id: int, decrypt: bool = False) -> dict[str, Any] | None:
        """One server, or None.

        Args:
            server_id: the row.
            decrypt: add `api_key` in plain text (a string whose repr is masked).

        Raises:
            KeyUndecryptable: the plain key is wanted and no key of ours opens it.
        """
        async with self.connection() as connection:
            row = await find_row(connection, SERVERS, server_id)
        return None if row is None else show_server(row, self.keyring, decrypt=decrypt)

    async def add_ai_server(
        self,
        name: str,
        server_type: str,
        base_url: str,
        *,
        created_by: str | None = None,
        user_id: str | None = None,
        **options: Unpack[ServerOptions],
    ) -> dict[str, Any]:
        """Add a server; returns its row.

        Args:
            name: unique.
            server_type: `vllm`, `ollama`, `llamacpp`, `openai-compatible`.
            base_url: http or https, without credentials.
            created_by: stands in the row; `user_id` does without it.
            user_id: stands in the audit; `created_by` does without it.
            **options: see `ServerOptions`.

        Raises:
            FieldRefused: a value can't be taken.
            NameTaken: there is a server of that name.
            KeyringMissing: a key is given and there is nothing to seal it with.
        """
        given = {"name": name, "server_type": server_type, "base_url": base_url, **_NEW, **options}
        values = read_fields(ProviderType.AI_SERVER, given, self.catalog)
        check_purposes(values, self.catalog)
        values["api_key"] = key_change(self.keyring, None, values["api_key"])
        values["created_by"] = read_who(created_by, user_id, field="created_by")
        async with self.connection() as connection:
            row = await insert_row(connection, SERVERS, values, read_who(user_id, created_by))
        return show_server(row, self.keyring)

    async def update_ai_server(
        self, server_id: int, *, user_id: str | None = None, **changes: Unpack[ServerChanges]
    ) -> dict[str, Any]:
        """Change a server; returns its row as it then stands.

        Args:
            server_id: the row.
            user_id: who does it; stands in the audit.
            **changes: see `ServerChanges`; what is left out stays.

        Raises:
            FieldRefused: a value can't be taken.
            RowMissing: there is no such server.
            NameTaken: another server has that name.
            KeyringMissing: a key is given and there is nothing to seal it with.
        """
        who = read_who(user_id)
        async with self.connection() as connection:
            row = await find_row(connection, SERVERS, server_id)
            if row is None:
                raise RowMissing(ProviderRef(type=ProviderType.AI_SERVER, id=server_id))
            shown = show_server(row, self.keyring)
            given = dict(changes)
            if given.get("api_key") and given["api_key"] == shown["masked_key"]:
                del given["api_key"]
            if given.get("base_url") == shown["base_url"]:  # without the credentials of an old row
                given.pop("base_url", None)
            values = read_fields(ProviderType.AI_SERVER, given, self.catalog)
            if any(field == "server_type" or field.startswith("use_for_") for field in values):
                check_purposes(row | values, self.catalog)
            if "api_key" in values:
                sealed = key_change(self.keyring, read_server_key(row["api_key"]), values.pop("api_key"))
                values["api_key"] = sealed
            row = await update_row(connection, SERVERS, server_id, values, who)
        return show_server(row, self.keyring)

    async def delete_ai_server(self, server_id: int, user_id: str | None = None) -> bool:
        """Delete a server that no purpose names; returns True.

        Raises:
            RowMissing: there is no such server.
            InUse: a purpose names it to serve, as the fallback, as a candidate or by a pin.
        """
        async with self.connection() as connection:
            await delete_row(connection, SERVERS, server_id, read_who(user_id))
        return True

    async def test_ai_server(self, server_id: int) -> dict[str, Any]:
        """Probe a server now, enabled or not; the result counts like any other where a daemon acts.

        Returns:
            `server_id`, `status` (what this probe showed: `healthy`, `degraded`, `down` or `unknown`; the row
            keeps what is believed), `success`, `message` (without secrets), `timestamp`.

        Raises:
            RowMissing: there is no such server.
        """
        ref = await self._server(server_id)
        with away_told():
            found = await test_row(self, ref)
        return {
            "server_id": server_id,
            "status": str(shown_status(found.outcome)),
            "success": found.success,
            "message": found.message,
            "timestamp": found.at,
        }

    async def get_ai_server_models(self, server_id: int) -> list[str]:
        """The models that a server lists now; empty when it does not answer.

        Raises:
            RowMissing: there is no such server.
        """
        await self._server(server_id)
        with away_told():
            return await list_models(self, server_id)

    async def _server(self, server_id: int) -> ProviderRef:
        ref = ProviderRef(type=ProviderType.AI_SERVER, id=server_id)
        async with self.connection() as connection:
            if await find_row(connection, SERVERS, server_id) is None:
                raise RowMissing(ref)
        return ref
