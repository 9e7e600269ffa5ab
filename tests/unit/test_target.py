"""How a provider is written and read, and what a target is when its row says nothing."""

import pytest

from monitor.domain.target import (
    ProbeSettings,
    ProviderRef,
    ProviderType,
    Purpose,
    SealedKey,
    TargetId,
)
from tests.unit.build import api_key, server


@pytest.mark.parametrize("ref", [api_key(1), server(20)])
def test_a_provider_is_read_as_it_is_written(ref: ProviderRef) -> None:
    assert ProviderRef.parse(str(ref)) == ref


def test_a_provider_is_written_by_its_table_and_its_id() -> None:
    assert ProviderRef.parse("ai_server:2") == ProviderRef(type=ProviderType.AI_SERVER, id=2)
    assert str(TargetId(provider=api_key(1), purpose=Purpose.CHAT)) == "api_key:1/chat"
    assert str(TargetId(provider=api_key(1), purpose=None)) == "api_key:1/none"


@pytest.mark.parametrize(
    "text",
    ["", "1", "api_key", "api_key:", ":1", "api_key:x", "api_key:-1", "api_key:1:2", "robot:1", "api_key 1"],
)
def test_what_names_no_provider_is_told_how_to_be_written(text: str) -> None:
    with pytest.raises(ValueError, match="write api_key:ID or ai_server:ID"):
        ProviderRef.parse(text)


def test_a_key_is_sealed_and_an_answer_short_unless_somebody_says_otherwise() -> None:
    assert SealedKey("token").encrypted
    assert ProbeSettings().max_tokens == 8


def test_a_key_sealed_anew_is_told_by_its_text_and_shows_nothing() -> None:
    assert SealedKey("t", identity="one") == SealedKey("t", identity="another")
    assert SealedKey("t", identity="one") != SealedKey("u", identity="one")
    assert repr(SealedKey("secret", identity="one")) == "SealedKey(encrypted=True)"
