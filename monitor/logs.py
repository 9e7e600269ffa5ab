"""What the program says of itself: one line an event, without secrets, for a person or for a machine."""

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TextIO
from urllib.parse import quote

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

from monitor.traceback_text import describe_traceback

MASK = "****"
LOUD_ONLY = ("LiteLLM", "apscheduler", "asyncpg", "httpcore", "httpx", "openai", "uvicorn.access")

_LONGEST_TEXT = 20_000
_LONGEST_NESTED = 2_000
_MOST_VALUES = 200
_DEEPEST = 6
_SHORTEST_SECRET = 8
_MOST_SECRETS = 10_000

_SHAPES = re.compile(
    r"(?i:\b(?P<scheme>bearer|basic)\s+)[\w.~+/=*-]{6,}"
    r"|(?P<url>\b[a-zA-Z][\w+.-]{1,30}://[^\s/:@]{0,200}:)[^\s/]{1,500}(?=@)"
    r"|(?i:(?P<name>(?:api[-_ ]?key(?!:\d+(?![\w-]))|password|passwd|secret|access[-_ ]?token|authorization)"
    r"[\"']?\s?[:=]\s?[\"']?)(?:(?:bearer|basic)\s+)?)[^\s\"',;&]{4,}"  # but api_key:1 is a name of ours
    r"|gAAAA[\w-]{8,}={0,2}"
    r"|\bllmm_\d{1,10}_[\w-]{8,}"
    r"|\b[\w-]{43}=(?![\w=])"
    r"|\b(?:sk|rk|pk|gsk|xai|csk|nvapi|pplx|tgp|sess)[-_][\w*.-]{6,}"
    r"|\b(?:hf|fw|r8)_[A-Za-z0-9*]{8,}"
    r"|\bAIza[\w*-]{8,}"
    r"|\beyJ[\w-]{8,}\.[\w.-]{8,}"
)
_SECRET_FIELD = re.compile(
    r"(?i)(?:^|_)(?:api_?keys?|encryption_keys?|passwords?|secrets?|tokens?|authorization|cookies?)$"
)
_VALUE = re.compile(r"\b(exception|result)=.*>", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Redactor:
    """Masks whatever looks like a secret, and those it was told of, in text and in all that holds text.

    Its work on one event is bounded: long texts lose their middle, and deep or wide values their rest.
    """

    def __init__(self) -> None:
        self._secrets: dict[str, set[str]] = {}
        self._count = 0

    def add(self, *secrets: str) -> None:
        """Mask these from now on; shorter ones than eight characters, as in ordinary words, are not."""
        for secret in secrets:
            for spelling in {secret, quote(secret, safe="")}:
                if len(spelling) < _SHORTEST_SECRET or self._count >= _MOST_SECRETS:
                    continue
                known = self._secrets.setdefault(spelling[:_SHORTEST_SECRET], set())
                self._count += spelling not in known
                known.add(spelling)

    def text(self, text: str, longest: int = _LONGEST_TEXT) -> str:
        """The same text with every secret masked and control characters but line ends and tabs removed."""
        if len(text) > longest:
            half = longest // 2
            head = re.sub(r"\S{1,300}$", "", text[:half])
            tail = re.sub(r"^\S{1,300}", "", text[-half:])
            text = f"{head} ... {len(text) - len(head) - len(tail)} characters left out ... {tail}"
        text = self._mask_known(_CONTROL.sub("", text))
        return _SHAPES.sub(_mask_shape, text)

    def value(self, value: object) -> Any:
        """A value that JSON can write: numbers stay, texts are masked, all else becomes masked text."""
        return self._clean(value, _DEEPEST, [_MOST_VALUES])

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        """The processor for structlog, to stand last before the renderer."""
        return {name: self._field(name, value, _DEEPEST, [_MOST_VALUES]) for name, value in event.items()}

    def _field(self, name: object, value: object, depth: int, left: list[int]) -> Any:
        if isinstance(value, str | bytes) and value and isinstance(name, str) and _SECRET_FIELD.search(name):
            return MASK
        return self._clean(value, depth, left)

    def _clean(self, value: object, depth: int, left: list[int]) -> Any:
        left[0] -= 1
        longest = _LONGEST_TEXT if depth == _DEEPEST else _LONGEST_NESTED
        if left[0] < 0 or depth < 0:
            return "..."
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return self.text(str(value), longest)
            case datetime():
                return value.isoformat()
            case timedelta():
                return value.total_seconds()
            case Mapping():
                return {
                    self.text(str(name), _LONGEST_NESTED): self._field(name, entry, depth - 1, left)
                    for name, entry in _first(value.items(), left)
                }
            case list() | tuple() | set() | frozenset():
                return [self._clean(entry, depth - 1, left) for entry in _first(value, left)]
            case bytes():
                return self.text(value[:_LONGEST_TEXT].decode("utf-8", "replace"), longest)
            case _:
                return self.text(_describe(value), longest)

    def _mask_known(self, text: str) -> str:
        """Mask known secrets; the cost depends on the text alone, not on how many there are."""
        if not self._count:
            return text
        parts: list[str] = []
        done = at = 0
        while at <= len(text) - _SHORTEST_SECRET:
            found = [
                one
                for one in self._secrets.get(text[at : at + _SHORTEST_SECRET], ())
                if text.startswith(one, at)
            ]
            if found:
                parts += [text[done:at], MASK]
                done = at = at + max(map(len, found))
            else:
                at += 1
        return "".join([*parts, text[done:]])


def configure(
    level: str = "info",
    format: Literal["auto", "json", "console"] = "auto",  # noqa: A002  # the setting's name
    stream: TextIO | None = None,
    redactor: Redactor | None = None,
) -> Redactor:
    """Send structlog's events and every library's log lines through one redactor to one stream.

    Args:
        level: the least severe level that is written.
        format: `auto` is `console` on a terminal and `json` elsewhere.
        stream: where to; standard error by default.
        redactor: an existing one, which knows secrets already.

    Returns:
        The redactor, to be told of secrets that turn up later.
    """
    stream = stream or sys.stderr
    redactor = redactor or Redactor()
    threshold = logging.getLevelNamesMapping()[level.upper()]
    console = format == "console" or (format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(_render_exception),
                _without_values,
                redactor,
                renderer,
            ],
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name in LOUD_ONLY:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(True)
    logging.raiseExceptions = (
        False  # a stream that is gone must not print tracebacks, which hold what was logged
    )
    return redactor


def _without_values(logger: object, method: str, event: EventDict) -> EventDict:
    """What asyncio shows of a task or future without what that returned or raised, which may be anything."""
    if event.get("logger") == "asyncio" and isinstance(event.get("event"), str):
        event["event"] = _VALUE.sub(r"\1=...>", event["event"])
    return event


def _render_exception(exc_info: ExcInfo) -> str:
    return describe_traceback(exc_info[1])


def _mask_shape(match: re.Match[str]) -> str:
    if match["scheme"]:
        return f"{match['scheme']} {MASK}"
    return f"{match['url'] or match['name'] or ''}{MASK}"


def _first(values: Iterable[Any], left: list[int]) -> Iterable[Any]:
    """As many as may still be shown, and one more, which shows as left out."""
    for number, value in enumerate(values):
        if number and left[0] < 0:
            return
        yield value


def _describe(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # whatever a foreign __str__ raises must not cost the event
        return f"<{type(value).__name__} that cannot be shown>"
