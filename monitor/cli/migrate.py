"""`llm-monitor migrate`: the tables of the database brought up to this program."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.options import ConfigFile, DataDir, EnvFile, quiet_logs, read_settings

if TYPE_CHECKING:
    from monitor.settings import Settings


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when something is pending.")
    ] = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Bring the database up to this program; the second time changes nothing."""
    settings = read_settings(config, env_file, data_dir)
    quiet_logs(settings)
    return asyncio.run(_check(settings) if check else _migrate(settings))


async def _check(settings: "Settings") -> int:
    from monitor.cli.database import open_database
    from monitor.storage.migrations import pending

    async with open_database(settings) as connection:
        names = await pending(connection)
    for name in names:
        print(f"pending: {name}")
    if not names:
        print("nothing is pending")
    return 1 if names else 0


async def _migrate(settings: "Settings") -> int:
    from monitor.cli.database import open_database
    from monitor.storage.migrations import migrate

    async with open_database(settings, command_timeout=None) as connection:
        names = await migrate(connection)
    for name in names:
        print(f"applied: {name}")
    if not names:
        print("nothing to apply")
    return 0
