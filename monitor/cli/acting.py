"""What the commands of an operator share: who acts, onto whom, until when, and how the answer looks."""

import asyncio
import os
import pwd
import socket
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from monitor.cli.console import plain, show_json
from monitor.cli.purpose import find_instant, find_purpose, find_span, instant
from monitor.cli.refusal import Refused

if TYPE_CHECKING:
    from monitor.domain.provider import ProviderRef, Purpose
    from monitor.settings import Settings
    from monitor.storage.operator import Acted, By

ProviderName = Annotated[
    str, typer.Argument(metavar="PROVIDER", help="Its row, as in ai_server:2, or its name.")
]
For = Annotated[str | None, typer.Option("--for", metavar="SPAN", help="For how long, as in 2h or 30m.")]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Until when, as in 2026-03-01T12:00 (UTC) or with a zone."),
]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept with who did it.")]
Force = Annotated[bool, typer.Option("--force", help="Also onto one that is not fit to serve.")]

DONE, REFUSED = 0, 1

Answer = TypeVar("Answer")


class Names:
    """Providers by row and by name."""

    def __init__(self, names: "dict[ProviderRef, str]") -> None:
        self._names = names

    def find(self, text: str) -> "ProviderRef":
        """The provider that somebody names by its row, by its name, or by a part of it that is its alone.

        Raises:
            Refused: none is called so, or several are.
        """
        from monitor.domain.provider import ProviderRef

        wanted = text.strip()
        try:
            return ProviderRef.parse(wanted)
        except ValueError:
            pass
        exact = [ref for ref, name in self._names.items() if name == wanted]
        found = exact or [ref for ref, name in self._names.items() if wanted in name.split("/")]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(self.called(ref) for ref in found)
            raise Refused(f"{wanted!r} is the name of several: write one of {several}")
        known = ", ".join(self.called(ref) for ref in sorted(self._names)[:10]) or "none yet"
        raise Refused(f"no provider is called {wanted!r}: known are {known}")

    def name(self, ref: "ProviderRef") -> str | None:
        """What its operator calls it; None when it was deleted."""
        return self._names.get(ref)

    def called(self, ref: "ProviderRef | None") -> str:
        """A provider for a person."""
        return "nobody" if ref is None else f"{ref} ({self._names.get(ref, 'deleted')})"


def act(
    settings: "Settings", do: Callable[[Any, Names, "By"], Awaitable[Answer]], reason: str | None
) -> tuple[Answer, Names]:
    """Do something in the database.

    Args:
        settings: of this command line.
        do: given a connection, the providers' names and who acts.
        reason: why, or None.

    Raises:
        Exit: it was refused because it would do harm, which is told on standard error.
        ActError: it can't be done as it was said.
        VisitRefused: the database can't answer.
    """
    from monitor.storage.operator import ActRefused

    try:
        found, alive = asyncio.run(_act(settings, do, reason))
    except ActRefused as refused:
        print(f"llm-monitor: {plain(str(refused))}", file=sys.stderr)
        raise typer.Exit(REFUSED) from refused
    if not alive:
        print("llm-monitor: warning: no daemon acts: start llm-monitor run", file=sys.stderr)
    return found


def act_on_purpose(
    settings: "Settings",
    purpose: str,
    do: Callable[[Any, "Purpose", "By"], Awaitable["Acted"]],
    text: str,
    reason: str | None,
    *,
    as_json: bool,
) -> int:
    """Do what wants no more than a purpose, and print it.

    Args:
        settings: of this command line.
        purpose: as it was typed.
        do: the act.
        text: what it came to, with braces where the one that serves is named.
        reason: why, or None.
        as_json: print it under names that stay.
    """
    wanted = find_purpose(purpose)

    async def on_purpose(connection: Any, _names: Names, by: "By") -> "Acted":
        return await do(connection, wanted, by)

    acted, names = act(settings, on_purpose, reason)
    return tell(acted, names, text.format(names.called(acted.active)), as_json=as_json)


async def _act(
    settings: "Settings", do: Callable[[Any, Names, "By"], Awaitable[Answer]], reason: str | None
) -> tuple[tuple[Answer, Names], bool]:
    from monitor.cli.database import open_database
    from monitor.cli.status_report import is_alive
    from monitor.storage.daemons import list_daemons
    from monitor.storage.operator import By
    from monitor.storage.record import read_names

    async with open_database(settings) as connection:
        names = Names(await read_names(connection, ()))
        answer = await do(connection, names, By(user_id=who(), reason=reason, via="cli"))
        daemons = await list_daemons(connection)
    return (answer, names), any(one.role == "active" and is_alive(one) for one in daemons)


def who() -> str:
    """Who types, as in `alice@host`, or `alice as root@host` under sudo."""
    try:
        account = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        account = str(os.geteuid())
    person = os.environ.get("SUDO_USER")
    acting = f"{person} as {account}" if person and person != account else account
    return f"{acting}@{socket.gethostname()}"


def end_said(span: str | None, until: str | None) -> datetime | timedelta | None:
    """The end that a command line names: a span, an instant, or none.

    Raises:
        Refused: both, or one that can't be read.
    """
    if span is not None and until is not None:
        raise Refused("--for and --until both name the end: leave one out")
    if span is not None:
        return find_span(span, "--for")
    return find_instant(until, "--until") if until is not None else None


def tell(acted: "Acted", names: Names, text: str, *, as_json: bool) -> int:
    """Print what an act came to."""
    if as_json:
        show_json(as_dict(acted, names))
        return DONE
    unchanged = "" if acted.changed else " Nothing has changed: it was so already."
    print(f"{acted.purpose}: {plain(text)}{unchanged}")
    return DONE


def as_dict(acted: "Acted", names: Names) -> dict[str, Any]:
    """An act under names that stay."""
    return {
        "purpose": acted.purpose,
        "act": acted.act,
        "changed": acted.changed,
        "active": str(acted.active),
        "name": names.name(acted.active),
        "left": str(acted.left) if acted.left else None,
        "fallback": str(acted.fallback) if acted.fallback else None,
        "generation": acted.generation,
        "until": acted.until.isoformat() if acted.until else None,
    }


def until_said(end: datetime | None, otherwise: str) -> str:
    """The end of something, or what ends it."""
    return f"until {instant(end)}" if end is not None else otherwise
