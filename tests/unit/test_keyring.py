"""The keyring: what opens, what is refused, and files that never lose a key."""

import os
import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from monitor.domain.target import KeyUndecryptable, SealedKey
from monitor.keyring import (
    Keyring,
    KeyringError,
    add_to_env_file,
    generate,
    load_or_create,
    read_keys,
    replace_keys,
)

PLAIN = "sk-or-v1-0123456789abcdef"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_sealed_opens_and_does_not_show() -> None:
    keyring = Keyring(generate())
    sealed = keyring.seal(PLAIN)
    assert sealed.encrypted
    assert PLAIN not in sealed.text
    assert keyring.unseal(sealed) == PLAIN
    assert keyring.unseal(SealedKey(f"{sealed.text}\n")) == PLAIN


def test_a_token_of_the_application_opens() -> None:
    key = Fernet.generate_key()
    token = Fernet(key).encrypt("schlüssel".encode()).decode()
    for form in (key, key.decode(), f" {key.decode()}\n"):
        assert Keyring(form).unseal(SealedKey(token)) == "schlüssel"


def test_a_key_that_was_never_encrypted_passes_through() -> None:
    assert Keyring(generate()).unseal(SealedKey(PLAIN, encrypted=False)) == PLAIN


def test_old_keys_open_and_the_current_one_seals() -> None:
    old, new = generate(), generate()
    sealed = Keyring(old).seal(PLAIN)
    both = Keyring(new, [old])
    assert both.unseal(sealed) == PLAIN
    assert Keyring(new).unseal(both.seal(PLAIN)) == PLAIN


@pytest.mark.parametrize("text", ["", "gAAAAAB", "not a token", "gAAAAAé", PLAIN])
def test_what_does_not_open_is_told_without_its_text(text: str) -> None:
    with pytest.raises(KeyUndecryptable) as caught:
        Keyring(generate()).unseal(SealedKey(text))
    assert not text or text not in str(caught.value)
    assert "BYOK_ENCRYPTION_KEY" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_token_of_another_key_does_not_open() -> None:
    sealed = Keyring(generate()).seal(PLAIN)
    with pytest.raises(KeyUndecryptable):
        Keyring(generate(), [generate()]).unseal(sealed)


@pytest.mark.parametrize("wrong", ["", "short", "x" * 44, b"\xff" * 44, "é" * 44])
def test_a_key_that_is_none_is_refused_by_name(wrong: str | bytes) -> None:
    with pytest.raises(KeyringError, match=r"^BYOK_ENCRYPTION_KEY: .*llm-monitor generate-key") as caught:
        Keyring(wrong)
    assert not wrong or str(wrong) not in str(caught.value)
    with pytest.raises(KeyringError, match=r"^MONITOR_OLD_ENCRYPTION_KEYS: "):
        Keyring(generate(), [wrong])


def test_the_keyring_shows_no_key() -> None:
    key = generate()
    assert key not in f"{Keyring(key)!r} {Keyring(key)}"
    shown = {
        name: one for name, one in vars(Keyring(key, [generate()])).items() if isinstance(one, str | tuple)
    }
    assert key not in str(shown["ids"])


def test_a_missing_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "encryption.key"
    before = os.umask(0)
    try:
        (key,) = load_or_create(path)
    finally:
        os.umask(before)
    Keyring(key)
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert load_or_create(path) == (key,)
    assert path.read_text() == f"{key}\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_key_file_that_somebody_made_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "encryption.key"
    theirs = generate()
    link = os.link

    def late(*args: Path) -> None:
        path.write_text(theirs)
        path.chmod(0o600)
        link(*args)

    monkeypatch.setattr(os, "link", late)
    assert load_or_create(path) == (theirs,)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "encryption.key"
    assert load_or_create(path) == (path.read_text().strip(),)
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_file_that_cannot_be_trusted_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "encryption.key"
    path.write_text(generate())
    path.chmod(0o640)
    with pytest.raises(KeyringError, match=rf"^{path}: others may read .*chmod 600 {path}"):
        load_or_create(path)
    path.chmod(0o600)
    for garbage in ("", "garbage", "\xff" * 44):
        path.write_text(garbage)
        with pytest.raises(KeyringError, match=rf"^{path}: is no encryption key"):
            load_or_create(path)
        assert path.read_text() == garbage
    with pytest.raises(KeyringError, match="Is a directory"):
        load_or_create(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeyringError, match="is no file"):
        load_or_create(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(KeyringError, match="dangling"):
        load_or_create(tmp_path / "dangling")
    with pytest.raises(KeyringError, match="File exists"):
        load_or_create(path / "under")


def test_a_key_file_holds_the_current_key_first_and_earlier_ones_after_it(tmp_path: Path) -> None:
    path = tmp_path / "encryption.key"
    (first,) = load_or_create(path)
    path.chmod(0o400)
    second = generate()
    replace_keys(path, [second, first])
    assert load_or_create(path) == read_keys(path) == (second, first)
    assert mode(path) == 0o400
    assert list(tmp_path.iterdir()) == [path]
    path.chmod(0o600)
    path.write_text(f"\n{second}\r\n\n{first}")
    assert read_keys(path) == (second, first)
    path.write_text(f"{second}\n{first[:-1]}\n")
    with pytest.raises(KeyringError, match=rf"^{path}: is no encryption key"):
        read_keys(path)


def test_a_key_file_that_cannot_be_written_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "encryption.key"
    with pytest.raises(KeyringError, match=r"encryption.key: cannot be"):
        replace_keys(path, [generate()])


def test_a_keyring_looks_at_its_file_again_when_a_key_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "encryption.key"
    first, second, old = *load_or_create(path), generate(), generate()
    keyring = Keyring(first, [old], reread=lambda: read_keys(path))
    before = keyring.seal(PLAIN)
    assert not keyring.refresh()
    replace_keys(path, [second, first])
    anew = Keyring(second).seal(PLAIN)
    assert not keyring.is_current(anew)
    assert keyring.unseal(anew) == PLAIN
    assert keyring.is_current(anew)
    assert not keyring.is_current(before)
    assert keyring.unseal(before) == keyring.unseal(Keyring(old).seal(PLAIN)) == PLAIN
    assert keyring.ids == Keyring(second, [first, old]).ids
    path.unlink()
    with pytest.raises(KeyUndecryptable):
        keyring.unseal(Keyring(generate()).seal(PLAIN))
    with pytest.raises(KeyringError):
        keyring.refresh()
    assert keyring.unseal(anew) == PLAIN


def test_keys_have_names_that_tell_them_apart_and_nothing_more() -> None:
    one, two = generate(), generate()
    assert Keyring(one, [two]).ids == (*Keyring(one).ids, *Keyring(two.encode()).ids)
    assert Keyring(f" {one} ").ids == Keyring(one).ids
    assert Keyring(one, [one]).ids == Keyring(one).ids
    assert not any(part in one for part in Keyring(one).ids)


def test_a_new_env_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    key = add_to_env_file(path)
    assert path.read_text() == f"BYOK_ENCRYPTION_KEY={key}\n"
    assert mode(path) == 0o600
    Keyring(key)


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ("", ""),
        ("A=1\r\nB='two # not a comment'\r\n", "A=1\r\nB='two # not a comment'\r\n"),
        ("A=1", "A=1\n"),
        (
            "# BYOK_ENCRYPTION_KEY=old\n\nMY_BYOK_ENCRYPTION_KEY=x\n",
            "# BYOK_ENCRYPTION_KEY=old\n\nMY_BYOK_ENCRYPTION_KEY=x\n",
        ),
        ("BYOK_ENCRYPTION_KEY=\nA=1\n", "A=1\n"),
        ("export BYOK_ENCRYPTION_KEY='' # later\nA=1\n", "A=1\n"),
    ],
)
def test_an_env_file_keeps_its_lines_and_mode(tmp_path: Path, before: str, kept: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes(before.encode())
    path.chmod(0o640)
    key = add_to_env_file(path)
    assert path.read_bytes().decode() == f"{kept}BYOK_ENCRYPTION_KEY={key}\n"
    assert mode(path) == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "line", ["BYOK_ENCRYPTION_KEY=x", " export BYOK_ENCRYPTION_KEY = 'y' # mine", 'BYOK_ENCRYPTION_KEY="#"']
)
def test_a_key_in_an_env_file_is_never_overwritten(tmp_path: Path, line: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"BYOK_ENCRYPTION_KEY=\n{line}\nA=1\n")
    with pytest.raises(KeyringError, match=rf"^{path}: holds a BYOK_ENCRYPTION_KEY already"):
        add_to_env_file(path)
    assert path.read_text() == f"BYOK_ENCRYPTION_KEY=\n{line}\nA=1\n"


def test_a_linked_env_file_is_changed_where_it_lies(tmp_path: Path) -> None:
    real = tmp_path / "real.env"
    real.write_text("A=1\n")
    link = tmp_path / ".env"
    link.symlink_to(real)
    key = add_to_env_file(link)
    assert link.is_symlink()
    assert real.read_text() == f"A=1\nBYOK_ENCRYPTION_KEY={key}\n"


def test_an_env_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyringError, match="not UTF-8"):
        add_to_env_file(path)
    with pytest.raises(KeyringError, match="missing"):
        add_to_env_file(tmp_path / "missing" / ".env")
    with pytest.raises(KeyringError, match="directory"):
        add_to_env_file(tmp_path)
