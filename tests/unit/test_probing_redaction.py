"""What a person may read of a provider's words."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.probing.redaction import redact

KEY = "sk-or-v1/4f9a+2c7d81e6b350=79ac"
SECRET = "sk-or-v1/4f9a"


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}.",
        f"Bearer {KEY}",
        quote(KEY, safe=""),
        f"https://x/y?key={quote(KEY)}",
        base64.b64encode(KEY.encode()).decode(),
        base64.b64encode(f"user:{KEY}".encode()).decode(),
        KEY.upper(),
        json.dumps({"key": KEY}),
        f"you sent {KEY[:8]}...{KEY[-4:]}",
        f"...{KEY[-12:]} is wrong",
        KEY.encode().hex(),
    ],
)
def test_the_key_used_stands_in_no_spelling(text: str) -> None:
    clean = redact(text, KEY).lower()
    for part in (KEY, KEY[:8], KEY[-8:], quote(KEY, safe=""), base64.b64encode(KEY.encode()).decode()[:24]):
        assert part.lower() not in clean
    assert "****" in clean


@pytest.mark.parametrize(
    "text",
    [
        "key sk-proj-abcdefgh12345 is bad",
        "AIzaSyA1234567890abcdefg",
        "Authorization: Bearer abc.def-ghi",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig",
        "api_key=hunter2hunter2",
        "gsk_abcdefghijklmnop",
        "http://user:pass@host/",
        "gAAAAABmZ3J5cHRlZA==",
    ],
)
def test_other_peoples_keys_are_masked_by_their_shape(text: str) -> None:
    clean = redact(text)
    assert "****" in clean
    for secret in (
        "abcdefgh12345",
        "1234567890",
        "abc.def",
        "eyJzdWIi",
        "hunter2",
        "ijklmnop",
        "pass@",
        "mZ3J5",
    ):
        assert secret not in clean


def test_plain_words_stay() -> None:
    text = "The model gpt-4o-mini does not exist or you do not have access to it (task-list, key points)."
    assert redact(text, KEY) == text


def test_control_characters_and_length_are_bounded() -> None:
    assert redact("a\x1b[31mb\r\nc\u202ed\x00e") == "a [31mb c d e"
    assert len(redact("word " * 1000)) == 300


@given(
    st.text(max_size=40),
    st.text(alphabet="abcdefABCDEF0123456789-_", min_size=12, max_size=40),
    st.text(max_size=40),
)
def test_no_text_around_a_key_brings_it_through(before: str, key: str, after: str) -> None:
    assert key.lower() not in redact(f"{before}{key}{after}", key).lower()
