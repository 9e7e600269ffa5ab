"""`llm-monitor migrate`: the tables of the database brought up to this program."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.console import show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, quiet_logs, read_settings

if TYPE_CHECKING:
    from monitor.settings import Settings


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when something is pending.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Bring the database up to this program; the second time changes nothing."""
    settings = read_settings(config, env_file, data_dir)
    quiet_logs(settings)
    names = asyncio.run(_check(settings) if check else _migrate(settings))
    if as_json:
        show_json({"pending" if check else "applied": names})
    elif not names:
        print("nothing is pending" if check else "nothing to apply")
    else:
        for name in names:
            print(f"{'pending' if check else 'applied'}: {name}")
    return 1 if check and names else 0


async def _check(settings: "Settings") -> list[str]:
    from monitor.cli.database import open_database
    from monitor.storage.migrations import pending

    async with open_database(settings) as connection:
        return list(await pending(connection))


async def _migrate(settings: "Settings") -> list[str]:
    from monitor.cli.database import open_database
    from monitor.storage.migrations import migrate

    async with open_database(settings, command_timeout=None) as connection:
        return list(await migrate(connection))
