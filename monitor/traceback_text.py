"""A traceback for a log: its frames, and of each exception only as much text as can't hold a key."""

import traceback
from collections.abc import Iterator
from types import TracebackType

_FRAMES = 40
_CHAIN = 8
# What these say is Python's own or ours. Others quote what they were given: a row, an input, a header.
_PLAIN = (
    OSError,
    RuntimeError,
    AttributeError,
    NameError,
    ImportError,
    AssertionError,
    ArithmeticError,
    TypeError,
)
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n"


def describe_traceback(error: BaseException) -> str:
    """The traceback as Python prints it, without local variables and what others may have quoted."""
    return "\n".join(_lines(error, _CHAIN)).rstrip()


def _lines(error: BaseException, left: int) -> Iterator[str]:
    before, said = (
        (error.__cause__, _CAUSE)
        if error.__cause__ is not None
        else (None if error.__suppress_context__ else error.__context__, _CONTEXT)
    )
    if before is not None and left > 0:
        yield from _lines(before, left - 1)
        yield said
    yield "Traceback (most recent call last):"
    yield _frames(error.__traceback__)
    yield f"{_name(type(error))}: {text}" if (text := _text(error)) else _name(type(error))
    if isinstance(error, BaseExceptionGroup) and left > 0:
        for number, one in enumerate(error.exceptions[:_CHAIN], 1):
            yield f"---- {number} of {len(error.exceptions)} ----"
            yield from _lines(one, left - 1)


def _frames(where: TracebackType | None) -> str:
    return "".join(traceback.format_tb(where, limit=-_FRAMES)).rstrip()


def _text(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__.partition(".")[0] in ("monitor", "__main__") or (
        kind.__module__ == "builtins" and isinstance(error, _PLAIN)
    ):
        return _say(error)
    facts = {name: getattr(error, name, None) for name in ("sqlstate", "table_name", "constraint_name")}
    told = ", ".join(f"{name} {value}" for name, value in facts.items() if isinstance(value, str))
    return told or "its text is left out, for it may quote what it was given"


def _say(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # whatever a foreign __str__ raises must not cost the event
        return ""


def _name(kind: type[BaseException]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
