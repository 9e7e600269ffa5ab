"""Which keys this program wrote, and which key each one is."""

from typing import Any

from monitor.domain.provider import ProviderRef
from monitor.domain.target import SealedKey
from monitor.keyring import Keyring, generate
from monitor.storage.keys import forget_key, forget_keys_of_deleted_rows, note_key_written, read_key_notes
from monitor.storage.providers import read_rows

KEYRING = Keyring(generate())
INSERT = "INSERT INTO llm_api_keys (provider, key_name, encrypted_key) VALUES ('openai', $1, $2) RETURNING id"


async def add(connection: Any, name: str, text: str) -> ProviderRef:
    return ProviderRef.parse(f"api_key:{await connection.fetchval(INSERT, name, text)}")


async def identity(connection: Any) -> str:
    (row,) = (await read_rows(connection)).keys
    return row.key.identity


async def test_an_identity_outlives_a_sealing_and_not_a_change_of_the_key(connection: Any) -> None:
    first, anew, other = (KEYRING.seal(text).text for text in ("sk-one", "sk-one", "sk-two"))
    ref = await add(connection, "k", first)
    at_first = await identity(connection)
    await note_key_written(connection, ref, first)
    assert await identity(connection) == at_first  # who wrote it does not make it another key
    await connection.execute("UPDATE llm_api_keys SET encrypted_key = $1", anew)
    assert await identity(connection) != at_first
    await note_key_written(connection, ref, anew, identity=at_first)
    assert await identity(connection) == at_first
    assert (await read_key_notes(connection)).is_ours(ref, anew)
    await connection.execute("UPDATE llm_api_keys SET encrypted_key = $1", other)
    assert await identity(connection) != at_first
    assert not (await read_key_notes(connection)).is_ours(ref, other)
    await note_key_written(connection, ref, other)
    assert await identity(connection) != at_first


async def test_a_note_that_is_repeated_changes_nothing(connection: Any) -> None:
    text = KEYRING.seal("sk-one").text
    ref = await add(connection, "k", text)
    await note_key_written(connection, ref, text, identity="kept")
    await note_key_written(connection, ref, text)
    assert await identity(connection) == "kept"


async def test_a_key_in_plain_text_leaves_no_hash_that_could_be_guessed(connection: Any) -> None:
    await connection.execute(
        "INSERT INTO ai_servers (name, server_type, base_url, api_key) VALUES"
        " ('a', 'vllm', 'http://a', 'letmein'), ('b', 'vllm', 'http://b', 'letmein'),"
        " ('c', 'vllm', 'http://c', 'other')"
    )
    one, two, other = (row.api_key for row in (await read_rows(connection)).servers)
    assert one is not None
    assert two is not None
    assert other is not None
    assert one.identity == two.identity != other.identity
    await connection.execute("UPDATE monitor.key_salt SET salt = 'another database'")
    (again, *_) = (await read_rows(connection)).servers
    assert again.api_key is not None
    assert again.api_key.identity != one.identity
    assert "letmein" not in repr(one)


async def test_rows_that_are_gone_are_forgotten(connection: Any) -> None:
    text = KEYRING.seal("sk-one").text
    first, second = [await add(connection, name, text) for name in ("a", "b")]
    for ref in (first, second, ProviderRef.parse("ai_server:7")):
        await note_key_written(connection, ref, text)
    await forget_keys_of_deleted_rows(connection)
    assert set((await read_key_notes(connection)).written) == {first, second}
    await forget_key(connection, first)
    assert set((await read_key_notes(connection)).written) == {second}
    await connection.execute("DELETE FROM llm_api_keys")
    await forget_keys_of_deleted_rows(connection)
    assert not (await read_key_notes(connection)).written


async def test_what_is_read_without_a_note_is_another_programs(connection: Any) -> None:
    ref = await add(connection, "k", "gAAAAA-somebody-else")
    notes = await read_key_notes(connection)
    assert not notes.is_ours(ref, "gAAAAA-somebody-else")
    (row,) = (await read_rows(connection)).keys
    assert row.key == SealedKey("gAAAAA-somebody-else")
    assert "somebody" not in row.key.identity
