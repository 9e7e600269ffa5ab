"""A key that does not open is its row's fault while another opens, and ours when none does."""

from dataclasses import replace

import pytest

from monitor.domain.catalog import Catalog
from monitor.domain.configuration import read_configuration
from monitor.domain.rows import ConfigurationRows, KeyRow, ServerRow
from monitor.domain.target import KeyringUnfit, KeyUndecryptable, SealedKey
from monitor.jobs.check_keys import CheckKeys
from monitor.keyring import Keyring, generate, is_token
from tests.unit.build import KEY_ROW, SERVER_ROW

OURS, THEIRS = Keyring(generate()), Keyring(generate())
GOOD, BAD, TYPED = OURS.seal("sk-one"), THEIRS.seal("sk-two"), SealedKey("sk-typed-in-by-hand")


def key(number: int, sealed: SealedKey, *, enabled: bool = True) -> KeyRow:
    return replace(KEY_ROW, id=number, key=sealed, enabled=enabled)


async def look(checks: CheckKeys, *rows: KeyRow | ServerRow) -> dict[str, str]:
    """The problems that the keys add, by row."""
    every = ConfigurationRows(
        servers=tuple(row for row in rows if isinstance(row, ServerRow)),
        keys=tuple(row for row in rows if isinstance(row, KeyRow)),
        actives=(),
        preferences=(),
    )
    before = read_configuration(every, Catalog(entries={}))
    after = await checks.look(every, before)
    return {
        ref: told.removeprefix(before.problems.get(ref, ""))
        for ref, told in after.problems.items()
        if told != before.problems.get(ref)
    }


async def test_one_that_does_not_open_beside_one_that_does_is_its_rows_fault() -> None:
    checks = CheckKeys(OURS.unseal)
    told = await look(checks, key(1, GOOD), key(2, BAD), replace(SERVER_ROW, api_key=BAD))
    assert set(told) == {"api_key:2", "ai_server:1"}
    assert all("store it anew" in one for one in told.values())
    assert not checks.none_opens
    with pytest.raises(KeyUndecryptable) as caught:
        checks.unseal(BAD)
    assert not isinstance(caught.value, KeyringUnfit)


async def test_when_none_opens_the_fault_is_ours() -> None:
    checks = CheckKeys(OURS.unseal)
    told = await look(checks, key(1, BAD), replace(SERVER_ROW, api_key=BAD))
    assert all("mend BYOK_ENCRYPTION_KEY" in one for one in told.values())
    with pytest.raises(KeyringUnfit):
        checks.unseal(BAD)


async def test_what_was_never_sealed_is_its_rows_fault_and_says_nothing_of_our_key() -> None:
    checks = CheckKeys(OURS.unseal)
    told = await look(checks, key(1, TYPED))
    assert "never sealed" in told["api_key:1"]
    assert TYPED.text not in told["api_key:1"]
    with pytest.raises(KeyUndecryptable):
        checks.unseal(TYPED)
    assert (await look(checks, key(1, TYPED), key(2, BAD)))["api_key:1"] == told["api_key:1"]
    with pytest.raises(KeyringUnfit):
        checks.unseal(BAD)
    with pytest.raises(KeyUndecryptable) as caught:
        checks.unseal(TYPED)
    assert not isinstance(caught.value, KeyringUnfit)


async def test_a_disabled_row_counts_as_evidence_and_is_no_problem() -> None:
    checks = CheckKeys(OURS.unseal)
    assert not await look(checks, key(1, BAD, enabled=False))
    with pytest.raises(KeyringUnfit):
        checks.unseal(BAD)
    told = await look(checks, key(1, GOOD, enabled=False), key(2, BAD))
    assert "store it anew" in told["api_key:2"]


async def test_keys_in_plain_text_are_left_alone() -> None:
    checks = CheckKeys(OURS.unseal)
    assert not await look(checks, replace(SERVER_ROW, api_key=SealedKey("open", encrypted=False)))
    assert not checks.none_opens


async def test_a_row_is_mended_once_whether_by_itself_or_by_our_key() -> None:
    keys = [OURS]
    checks = CheckKeys(lambda sealed: keys[0].unseal(sealed))
    await look(checks, key(1, BAD))
    assert not checks.mended
    keys[0] = THEIRS
    assert not await look(checks, key(1, BAD))
    assert checks.mended == {KEY_ROW.ref}
    assert not await look(checks, key(1, BAD))
    assert not checks.mended


def test_a_token_is_known_by_its_form() -> None:
    assert is_token(GOOD)
    assert is_token(SealedKey(f" {BAD.text}\n"))
    for text in ("", "sk-typed", "gAAAAAB", GOOD.text[:-4], "é" * 100, "A" * 120):
        assert not is_token(SealedKey(text))
    assert not is_token(SealedKey(GOOD.text, encrypted=False))
