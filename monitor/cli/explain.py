"""`llm-monitor explain`: why a purpose stands as it does, now or then, and what would move it."""

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from monitor.cli.console import show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings
from monitor.cli.purpose import At, PurposeName, find_instant, find_purpose

if TYPE_CHECKING:
    from monitor.domain.provider import Purpose
    from monitor.settings import Settings
    from monitor.storage.record import Record


def explain(
    purpose: PurposeName,
    at: At = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Tell who serves and why, how each candidate stands, and what would have to happen for the next move."""
    settings = read_settings(config, env_file, data_dir)
    wanted, moment = find_purpose(purpose), find_instant(at) if at is not None else None
    from monitor.cli import explain_report
    from monitor.cli.refusal import Refused

    record = asyncio.run(_read(settings, wanted, moment))
    if moment is not None and moment > record.as_of:
        raise Refused(f"--at {at}: that is yet to come")
    report = explain_report.explain_record(wanted, record, settings.policy_for(wanted), now=moment is None)
    if as_json:
        show_json(explain_report.as_json(report))
    else:
        explain_report.show(report)
    return 0


async def _read(settings: "Settings", purpose: "Purpose", moment: datetime | None) -> "Record":
    from monitor.cli.database import open_database
    from monitor.storage.record import read_clock, read_record

    async with open_database(settings) as connection:
        since = moment if moment is not None else await read_clock(connection) - timedelta(seconds=1)
        return await read_record(connection, purpose, since, moment)
