"""What may be written into a provider's row, and what of it may be shown."""

import json

import pytest

from monitor.domain.provider import ProviderType
from monitor.domain.target import KeyUndecryptable, SealedKey
from monitor.integration.fields import FieldRefused, check_purposes, read_fields, read_who
from monitor.integration.key_change import key_change
from monitor.integration.plain_key import (
    KeyringMissing,
    PlainKey,
    mask,
    open_keyring,
    shown_key,
    shown_url,
    unseal,
)
from monitor.keyring import Keyring, generate
from monitor.probing.catalog import load_catalog

CATALOG = load_catalog()
KEY = "sk-0123456789abcdef-a1b2"


def test_a_short_key_shows_nothing_of_itself() -> None:
    assert mask("0123456789abcdef") == "****cdef"
    assert mask("0123456789abcde") == "****"


def test_a_plain_key_is_a_string_that_hides_in_what_is_printed_of_its_holder() -> None:
    key = PlainKey(KEY)
    assert key == KEY
    assert json.dumps({"key": key}) == json.dumps({"key": KEY})
    assert str({"key": key}) == "{'key': '****a1b2'}"
    assert f"{[key]}" == "['****a1b2']"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:8000/v1", "http://host:8000/v1"),
        ("https://me:secret@host/v1", "https://****@host/v1"),
        ("https://me@secret@host", "https://****@host"),
        ("http://[::1", "****"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_address_is_shown_without_credentials(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_a_key_that_does_not_open_is_shown_as_a_mask_with_the_reason() -> None:
    keyring, other = Keyring(generate()), Keyring(generate())
    sealed = keyring.seal(KEY)
    assert shown_key(keyring, sealed) == ("****a1b2", None)
    assert shown_key(None, SealedKey(KEY, encrypted=False)) == ("****a1b2", None)
    assert shown_key(None, None) == (None, None)
    for closed, words in ((other, "another one sealed it"), (None, "BYOK_ENCRYPTION_KEY is not set")):
        masked, problem = shown_key(closed, sealed)
        assert masked == "****"
        assert words in str(problem)
    with pytest.raises(KeyUndecryptable):
        unseal(other, sealed)


def test_the_same_key_stays_as_it_is_sealed() -> None:
    keyring = Keyring(generate())
    sealed = keyring.seal(KEY)
    assert key_change(keyring, sealed, KEY) == sealed.text
    assert key_change(keyring, sealed, KEY + "x") != sealed.text
    assert key_change(keyring, None, None) is None
    plain = key_change(keyring, SealedKey(KEY, encrypted=False), KEY)
    assert plain is not None
    assert keyring.unseal(SealedKey(plain)) == KEY
    with pytest.raises(KeyringMissing, match="generate-key"):
        key_change(None, None, KEY)


def test_old_encryption_keys_come_from_the_environment_unless_they_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, current = generate(), generate()
    sealed = Keyring(old).seal(KEY)
    monkeypatch.setenv("MONITOR_OLD_ENCRYPTION_KEYS", f"{generate()} ,{old}")
    found = open_keyring(current, None)
    assert found is not None
    assert found.unseal(sealed) == KEY
    alone = open_keyring(current, ())
    assert alone is not None
    with pytest.raises(KeyUndecryptable):
        alone.unseal(sealed)
    assert open_keyring(None, None) is None


def test_fields_are_read_as_they_will_be_stored() -> None:
    read = read_fields(
        ProviderType.AI_SERVER,
        {
            "name": " a ",
            "server_type": "VLLM",
            "base_url": "http://a:8000/",
            "api_key": "",
            "model_path": "",
            "metadata": None,
        },
        CATALOG,
    )
    assert read == {
        "name": "a",
        "server_type": "vllm",
        "base_url": "http://a:8000",
        "api_key": None,
        "model_path": None,
        "metadata": {},
    }
    assert read_fields(ProviderType.API_KEY, {"provider": "Groq"}, CATALOG) == {"provider": "groq"}


def test_a_field_that_does_not_exist_is_the_programs_mistake() -> None:
    with pytest.raises(TypeError, match="base_ulr"):
        read_fields(ProviderType.AI_SERVER, {"base_ulr": "http://a"}, CATALOG)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", None),
        ("name", 5),
        ("name", "x" * 501),
        ("server_type", "vllm2"),
        ("base_url", None),
        ("base_url", "http://a?key=" + KEY),
        ("api_key", "****"),
        ("api_key", f"Bearer {KEY}"),
        ("enabled", None),
        ("enabled", 1),
        ("metadata", "{}"),
        ("metadata", {"probe": {"interval": KEY}}),
        ("metadata", {"a": float("inf")}),
        ("metadata", {"a": object()}),
    ],
)
def test_a_value_that_can_not_be_is_refused_without_being_repeated(field: str, value: object) -> None:
    with pytest.raises(FieldRefused) as caught:
        read_fields(ProviderType.AI_SERVER, {field: value}, CATALOG)
    assert caught.value.field == field
    assert field in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_server_serves_only_what_its_type_can() -> None:
    row = {
        "server_type": "ollama",
        "use_for_chat": True,
        "use_for_embeddings": True,
        "use_for_reranking": False,
    }
    check_purposes(row, CATALOG)
    with pytest.raises(FieldRefused, match="ollama serves no reranking"):
        check_purposes(row | {"use_for_reranking": True}, CATALOG)
    check_purposes(row | {"server_type": "unknown", "use_for_reranking": True}, CATALOG)


def test_whoever_counts_most_is_recorded() -> None:
    assert read_who("alice", "bob") == "alice"
    assert read_who(None, "bob") == "bob"
    assert read_who("", None) == "unknown"
    assert read_who(7) == "7"
    with pytest.raises(FieldRefused, match="created_by"):
        read_who("a\x00b", field="created_by")
