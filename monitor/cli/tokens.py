"""`llm-monitor token create | list | revoke`: who may use the HTTP API."""

import asyncio
import json
import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.console import plain, show_json, show_table
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings
from monitor.cli.refusal import Refused
from monitor.domain.access import TokenRole, check_name

if TYPE_CHECKING:
    from monitor.settings import Settings
    from monitor.storage.tokens import NewToken, TokenRow

tokens = typer.Typer(help="Who may use the HTTP API: make, list and revoke tokens.", no_args_is_help=True)

Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]", help="Whom it is for; the audit trail shows it. Else your account's name."
    ),
]
Role = Annotated[
    TokenRole,
    typer.Option("--role", help="viewer looks; reporter may also report how requests fared; admin changes."),
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="SPAN", help="When it ends, as in 90d or 12h; never without."),
]


@tokens.command("create")
def create(
    role: Role,
    name: Name = None,
    expires: Expires = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Make a token and print it; it is told this once, and only its hash is stored."""
    by = account()
    try:
        whose = check_name(name if name is not None else by)
    except ValueError as error:
        raise Refused(f"NAME: {error}") from None
    lifetime = _lifetime(expires) if expires is not None else None
    made = asyncio.run(_create(read_settings(config, env_file, data_dir), whose, role, lifetime, by))
    end = f"expires {_instant(made.expires_at)}" if made.expires_at else "never expires"
    if as_json:
        show_json(
            {
                "id": made.id,
                "token": made.text,
                "name": whose,
                "role": role,
                "expires_at": made.expires_at.isoformat() if made.expires_at else None,
            }
        )
        return 0
    # The token alone on standard output: it can be put into a file or a variable as it is.
    print(made.text)
    print(
        f"token {made.id} for {whose!r}, role {role}, {end}; it is not shown again, "
        f"and `llm-monitor token revoke {made.id}` ends it",
        file=sys.stderr,
    )
    return 0


@tokens.command("list")
def list_(
    as_json: AsJson = False, config: ConfigFile = None, env_file: EnvFile = None, data_dir: DataDir = None
) -> int:
    """List every token that there has ever been: for whom, by whom, until when, and when it was last used."""
    found = asyncio.run(_list(read_settings(config, env_file, data_dir)))
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2, default=lambda value: value.isoformat()))
        return 0
    if not found:
        print("There is no token yet: `llm-monitor token create --role admin` makes one.")
        return 0
    show_table(
        "tokens",
        ("ID", "NAME", "ROLE", "STATE", "MADE", "BY", "EXPIRES", "LAST USED"),
        [
            (
                str(one.id),
                one.name,
                str(one.role),
                one.state,
                _instant(one.created_at),
                one.created_by,
                _instant(one.expires_at),
                _instant(one.last_used_at),
            )
            for one in found
        ],
    )
    return 0


@tokens.command("revoke")
def revoke(
    id_: Annotated[int, typer.Argument(metavar="ID", min=1, help="As `token list` shows it.")],
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """End a token, and every login that was made with it, at once and for good."""
    name, known = asyncio.run(_revoke(read_settings(config, env_file, data_dir), id_))
    if as_json and known:
        show_json({"id": id_, "name": name, "revoked": name is not None})
    elif name is not None:
        print(f"token {id_} ({plain(name)}) is revoked")
    elif known:
        print(f"token {id_} was revoked before")
    else:
        raise Refused(f"token {id_}: there is none of that number; `llm-monitor token list` shows all")
    return 0


def account() -> str:
    """Who types, for the audit trail: the account of this machine."""
    import os
    import pwd

    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # an account without a name, as in some containers
        return f"uid {os.geteuid()}"


def _lifetime(text: str) -> timedelta:
    from monitor.settings import parse_duration

    try:
        span = parse_duration(text)
    except ValueError:
        span = timedelta(0)
    if span <= timedelta(0):
        raise Refused(f"--expires {text}: is no span of time, of a year at most; write 90d or 12h")
    return span


def _instant(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


async def _create(
    settings: "Settings", name: str, role: TokenRole, lifetime: timedelta | None, by: str
) -> "NewToken":
    from monitor.cli.database import open_database
    from monitor.storage.tokens import create_token

    async with open_database(settings) as connection:
        return await create_token(connection, name=name, role=role, lifetime=lifetime, by=by)


async def _list(settings: "Settings") -> "list[TokenRow]":
    from monitor.cli.database import open_database
    from monitor.storage.tokens import list_tokens

    async with open_database(settings) as connection:
        return await list_tokens(connection)


async def _revoke(settings: "Settings", id_: int) -> tuple[str | None, bool]:
    from monitor.cli.database import open_database
    from monitor.storage.tokens import list_tokens, revoke_token

    async with open_database(settings) as connection:
        name = await revoke_token(connection, id_, account())
        return name, name is not None or any(one.id == id_ for one in await list_tokens(connection))
