"""The arguments of commands that speak of one purpose: its name, a span, an instant."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.refusal import Refused

if TYPE_CHECKING:
    from monitor.domain.provider import Purpose

PurposeName = Annotated[str, typer.Argument(metavar="PURPOSE", help="chat, embeddings or reranking.")]
Since = Annotated[str, typer.Option("--since", metavar="SPAN", help="How far back, as in 12h or 30d.")]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="An instant, as in 2026-03-01T12:00:00 (UTC) or with a zone."),
]


def find_purpose(text: str) -> "Purpose":
    """The purpose of that name.

    Raises:
        Refused: there is none.
    """
    from monitor.domain.provider import Purpose

    try:
        return Purpose(text.strip().lower())
    except ValueError:
        raise Refused(f"{text!r} is no purpose: name one of {', '.join(Purpose)}") from None


def find_span(text: str, option: str = "--since") -> timedelta:
    """A span as an operator writes it.

    Args:
        text: as in 12h.
        option: which one it was given to, for the message.

    Raises:
        Refused: it is none, or none at all.
    """
    from monitor.settings.policies import parse_duration

    try:
        span = parse_duration(text)
    except ValueError as error:
        raise Refused(f"{option} {text} {error}") from None
    if not span:
        raise Refused(f"{option} {text} is no time at all; write a span, as in 12h or 30d")
    return span


def find_instant(text: str, option: str = "--at") -> datetime:
    """An instant; UTC unless it names a zone.

    Args:
        text: as in 2026-03-01T12:00:00.
        option: which one it was given to, for the message.

    Raises:
        Refused: it is none.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Refused(f"{option} {text}: write an instant, as in 2026-03-01T12:00:00Z") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def instant(moment: datetime) -> str:
    """An instant for a person: UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
