"""Reads what an answer's bytes tell: its error, its end, its tokens, and when to come again."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

TEXT_KEPT = 2000
LONGEST_WAIT = timedelta(days=7)

_FINISH = re.compile(rb'"(?:finish_?[rR]eason|stop_reason|done_reason)"\s*:\s*"([A-Za-z_]+)"')
_OUT_OF_TOKENS = frozenset({"length", "max_tokens", "model_length", "max_output_tokens"})
_ADDRESS = re.compile(r"https?://\S+")
_TAGS = re.compile(r"<(?:script|style).*?</(?:script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_RETRY_DELAY = re.compile(r'"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"')
_IN_NAMES = ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count")
_OUT_NAMES = ("completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyError:
    """The error in a body.

    Attributes:
        is_json: the body is JSON and carries an error.
        codes: codes, types and states, lower case.
        text: the message as it stands, without markup; the beginning of the body when it is no JSON.
    """

    is_json: bool
    codes: frozenset[str]
    text: str

    @property
    def plain(self) -> str:
        """Lower case and without addresses, for comparisons: a link to /billing is no lack of credit."""
        return _ADDRESS.sub(" ", self.text).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider tells them; None where it does not."""

    tokens_in: int | None = None
    tokens_out: int | None = None


def body_error(body: bytes, refused: bool) -> BodyError:
    """The error that a body carries.

    Args:
        body: a whole answer, or the stream of server-sent events.
        refused: the status says that it is an error: then any JSON object counts as one.
    """
    documents = _documents(body) if refused or b'"error"' in body else ()
    for value in documents:
        if isinstance(value, list) and value:
            value = value[0]  # Google wraps its error into a list
        if isinstance(value, dict) and (refused or _carries_error(value)):
            codes: set[str] = set()
            texts: list[str] = []
            _collect(value, codes, texts, 0)
            return BodyError(is_json=True, codes=frozenset(codes), text=" ".join(texts)[:TEXT_KEPT])
    text = _TAGS.sub(" ", body[: TEXT_KEPT * 4].decode("utf-8", "replace")) if refused else ""
    return BodyError(is_json=False, codes=frozenset(), text=" ".join(text.split())[:TEXT_KEPT])


def finish_reason(body: bytes) -> str | None:
    """How a stream says that it ended, `length` for out of tokens; None when it breaks off without a word."""
    reasons = _FINISH.findall(body)
    reason = reasons[-1].decode().lower() if reasons else None
    return "length" if reason in _OUT_OF_TOKENS else reason


def usage(body: bytes) -> Usage:
    """The tokens that a body or stream tells, the last word of each counting."""
    tokens: dict[str, int] = {}
    for value in _documents(body):
        _count(value, tokens, 0)
    return Usage(
        tokens_in=next((tokens[name] for name in _IN_NAMES if name in tokens), None),
        tokens_out=next((tokens[name] for name in _OUT_NAMES if name in tokens), None),
    )


def retry_after(headers: Mapping[str, str], body: bytes, now: datetime) -> timedelta | None:
    """How long the provider asks us to wait: milliseconds, seconds, a date, or Google's word in the body."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return _wait(milliseconds / 1000)
    value = headers.get("retry-after")
    if value is not None:
        if (seconds := _number(value)) is not None:
            return _wait(seconds)
        try:
            return _wait((parsedate_to_datetime(value) - now).total_seconds())
        except (ValueError, TypeError):
            return None
    match = _RETRY_DELAY.search(body[: TEXT_KEPT * 4].decode("utf-8", "replace"))
    return _wait(float(match.group(1))) if match else None


def rate_limits(headers: Mapping[str, str]) -> dict[str, float]:
    """What is left by limit, `requests` and `tokens`, from the headers that providers use."""
    left: dict[str, float] = {}
    for limit in ("requests", "tokens"):
        for name in (
            f"x-ratelimit-remaining-{limit}",
            f"anthropic-ratelimit-{limit}-remaining",
            f"x-ratelimit-limit-remaining-{limit}",
        ):
            if (value := _number(headers.get(name))) is not None:
                left[limit] = value
                break
    return left


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def _wait(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST_WAIT.total_seconds()))


def _documents(body: bytes) -> Iterator[object]:
    """The JSON values of a body: one, or one a line (server-sent events, Ollama's lines)."""
    try:
        yield json.loads(body)
    except ValueError:
        pass
    else:
        return
    for line in body.splitlines():
        text = line.removeprefix(b"data:").strip()
        if text[:1] in (b"{", b"["):
            try:
                yield json.loads(text)
            except ValueError:
                continue


def _carries_error(value: dict[str, object]) -> bool:
    return bool(value.get("error")) or value.get("type") == "error" or value.get("object") == "error"


def _collect(value: object, codes: set[str], texts: list[str], depth: int) -> None:
    if depth > 5:
        return
    if isinstance(value, list):
        for item in value[:8]:
            _collect(item, codes, texts, depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name in {"code", "type", "status", "reason", "error_type"} and isinstance(item, (str, int)):
                codes.add(str(item).lower())
            elif name in {
                "message",
                "detail",
                "error",
                "msg",
                "error_message",
                "title",
                "raw",
            } and isinstance(item, str):
                texts.append(item)
            elif isinstance(item, (dict, list)):
                _collect(item, codes, texts, depth + 1)


def _count(value: object, tokens: dict[str, int], depth: int) -> None:
    if isinstance(value, list):
        for item in value[:8]:
            _count(item, tokens, depth + 1)
    elif isinstance(value, dict) and depth < 5:
        for name, item in value.items():
            if name in _IN_NAMES or name in _OUT_NAMES:
                if isinstance(item, (int, float)) and not isinstance(item, bool):
                    tokens[name] = int(item)
            elif isinstance(item, (dict, list)) and name not in {"choices", "data", "embeddings", "results"}:
                _count(item, tokens, depth + 1)
