"""`llm-monitor migrate`: the tables of the database brought up to this program."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.console import show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, quiet_logs, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.settings import Settings
    from monitor.storage.migrations import Standing


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when something is pending.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Bring the database up to this program, while daemons run; the second time changes nothing."""
    settings = read_settings(config, env_file, data_dir)
    quiet_logs(settings)
    if check:
        standing = asyncio.run(_check(settings))
        if as_json:
            show_json({"pending": list(standing.pending), "newer": list(standing.newer)})
        else:
            _say("pending", standing.pending, "nothing is pending")
            if standing.newer:
                names = ", ".join(standing.newer)
                print(f"the database is newer than this program, which can live with it: {names}")
        return 1 if standing.pending else 0
    applied = asyncio.run(_migrate(settings))
    if as_json:
        show_json({"applied": applied})
    else:
        _say("applied", applied, "nothing to apply")
    return 0


def _say(word: str, names: "Sequence[str]", nothing: str) -> None:
    for line in [f"{word}: {name}" for name in names] or [nothing]:
        print(line)


async def _check(settings: "Settings") -> "Standing":
    from monitor.cli.database import open_database
    from monitor.storage.migrations import compare

    async with open_database(settings) as connection:
        return await compare(connection)


async def _migrate(settings: "Settings") -> list[str]:
    from monitor.cli.database import open_database
    from monitor.storage.migrations import migrate

    async with open_database(settings, command_timeout=None) as connection:
        return await migrate(connection)
