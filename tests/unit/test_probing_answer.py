"""What an answer's bytes tell."""

from datetime import UTC, datetime, timedelta

import pytest

from monitor.probing.answer import Usage, body_error, finish_reason, rate_limits, retry_after, usage

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "codes", "text"),
    [
        (b'{"error": {"message": "No", "type": "t", "code": "c"}}', {"t", "c"}, "No"),
        (b'{"error": "model not found"}', set(), "model not found"),
        (b'{"detail": "Unauthorized"}', set(), "Unauthorized"),
        (b'{"message": "invalid api token"}', set(), "invalid api token"),
        (
            b'{"type": "error", "error": {"type": "not_found_error", "message": "m"}}',
            {"error", "not_found_error"},
            "m",
        ),
        (
            b'[{"error": {"code": 400, "message": "bad", "details": [{"reason": "API_KEY_INVALID"}]}}]',
            {"400", "api_key_invalid"},
            "bad",
        ),
        (b'{"error": {"message": "x", "metadata": {"raw": "deep reason"}}}', set(), "x deep reason"),
    ],
)
def test_an_error_is_found_in_every_providers_shape(body: bytes, codes: set[str], text: str) -> None:
    error = body_error(body, refused=True)
    assert error.is_json
    assert error.codes == codes
    assert error.text == text


def test_a_page_is_no_json_error_and_loses_its_markup() -> None:
    error = body_error(b"<html><script>var x</script><h1>403</h1> Blocked\n</html>", refused=True)
    assert not error.is_json
    assert error.text == "403 Blocked"


def test_an_error_in_a_stream_is_found_and_a_good_stream_has_none() -> None:
    good = b'data: {"choices": [{"delta": {"content": "the \\"error\\""}}]}\n\ndata: [DONE]\n\n'
    assert not body_error(good, refused=False).is_json
    bad = good + b'data: {"error": {"code": 502, "message": "gone"}}\n\n'
    assert body_error(bad, refused=False).text == "gone"


def test_links_do_not_count_as_words() -> None:
    error = body_error(b'{"error": {"message": "Slow down, see https://x.y/billing now"}}', refused=True)
    assert "billing" not in error.plain


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            b'data: {"choices": [{"finish_reason": null}]}\n\ndata: {"choices": [{"finish_reason": "stop"}]}',
            "stop",
        ),
        (b'{"delta": {"stop_reason": "end_turn"}}', "end_turn"),
        (b'{"stop_reason":"max_tokens"}', "length"),
        (b'{"candidates": [{"finishReason": "MAX_TOKENS"}]}', "length"),
        (b'{"done": true, "done_reason": "stop"}', "stop"),
        (b'data: {"choices": [{"finish_reason": null}]}\n\ndata: [DONE]\n\n', None),
        (b'{"content": "\\"finish_reason\\": \\"stop\\""}', None),
    ],
)
def test_an_end_is_what_the_wire_says(body: bytes, reason: str | None) -> None:
    assert finish_reason(body) == reason


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            b'data: {"usage": {"prompt_tokens": 5, "completion_tokens": 2}}\n\ndata: [DONE]',
            Usage(tokens_in=5, tokens_out=2),
        ),
        (
            b'data: {"message": {"usage": {"input_tokens": 5}}}\ndata: {"usage": {"output_tokens": 8}}',
            Usage(tokens_in=5, tokens_out=8),
        ),
        (b'{"usageMetadata": {"promptTokenCount": 3}}', Usage(tokens_in=3)),
        (b'{"usage": null}', Usage()),
        (b"", Usage()),
        (b'{"usage": {"prompt_tokens": null, "completion_tokens": true}}', Usage()),
    ],
)
def test_tokens_are_those_that_were_told(body: bytes, told: Usage) -> None:
    assert usage(body) == told


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"retry-after": "7"}, b"", 7.0),
        ({"retry-after": "0.5"}, b"", 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, b"", 1.5),
        ({"retry-after": "Mon, 05 Jan 2026 12:01:30 GMT"}, b"", 90.0),
        ({"retry-after": "Mon, 05 Jan 2026 11:00:00 GMT"}, b"", 0.0),
        ({"retry-after": "-3"}, b"", 0.0),
        ({"retry-after": "1e300"}, b"", 604800.0),
        ({"retry-after": "soon"}, b"", None),
        ({"retry-after": "nan"}, b"", None),
        ({}, b'{"details": [{"retryDelay": "28s"}]}', 28.0),
        ({}, b"", None),
    ],
)
def test_a_wait_is_read_in_every_form(headers: dict[str, str], body: bytes, wait: float | None) -> None:
    assert retry_after(headers, body, NOW) == (timedelta(seconds=wait) if wait is not None else None)


def test_rate_limits_are_read_from_the_headers_in_use() -> None:
    assert rate_limits(
        {"x-ratelimit-remaining-requests": "9", "anthropic-ratelimit-tokens-remaining": "1e3"}
    ) == {
        "requests": 9.0,
        "tokens": 1000.0,
    }
    assert rate_limits({"x-ratelimit-remaining-requests": "many"}) == {}
