"""`llm-monitor status`: who serves, how the providers are, and what moved."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.console import show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings

if TYPE_CHECKING:
    from monitor.cli.status_report import Uptimes
    from monitor.settings import Settings
    from monitor.storage.status import Status


def status(
    as_json: AsJson = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and show every change; q or Ctrl-C ends it.")
    ] = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Show who serves and how all providers are. Exit 1 when a purpose is down or no daemon runs."""
    settings = read_settings(config, env_file, data_dir)
    from monitor.cli import status_report
    from monitor.cli.database import find_database

    found, uptimes = asyncio.run(_read(settings))
    database = find_database(settings).describe()
    reached = _psql(database) if settings.database is None and not as_json else database
    if watch:
        from monitor.cli.watch import watch as watch_status

        return asyncio.run(watch_status(settings, found, reached, json_lines=as_json))
    if as_json:
        show_json(status_report.as_json(found, database, uptimes))
    else:
        from monitor.cli import status_page

        status_page.show(found, reached, uptimes)
    return 1 if status_report.bad_news(found) else 0


async def _read(settings: "Settings") -> "tuple[Status, Uptimes]":
    from monitor.cli.database import open_database
    from monitor.cli.status_report import Uptimes
    from monitor.storage.status import read_status
    from monitor.storage.uptime import read_purpose_uptimes, read_uptimes

    async with open_database(settings) as connection:
        status = await read_status(connection)
        return status, Uptimes(
            targets=await read_uptimes(connection, status.as_of),
            purposes=await read_purpose_uptimes(connection, status.as_of),
        )


def _psql(database: str) -> str:
    """How to ask the embedded PostgreSQL: with the machine's psql, else with the one that came with ours."""
    from shutil import which

    from monitor.storage.embedded_binaries import find_package

    ours = find_package() / "pginstall" / "bin" / "psql"
    program = "psql" if which("psql") or not ours.exists() else str(ours)
    return f'{program} "{database}"'
