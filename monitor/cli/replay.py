"""`llm-monitor replay`: what was recorded, decided again, under the policy in force or another."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.console import show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings
from monitor.cli.purpose import PurposeName, Since, find_purpose, find_span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from monitor.domain.policy import Policy
    from monitor.domain.provider import Purpose
    from monitor.settings import Settings
    from monitor.storage.record import Record

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Decide by another policy, as in fall=2 or hold=10m."),
]


def replay(
    purpose: PurposeName,
    since: Since = "7d",
    changes: Changes = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Decide everything again from the recorded results, and compare. Exit 1 when a move is not reproduced.

    Without --set the policy in force decides, and every automatic move has to come out at the same instant,
    by the same rule, onto the same provider. With --set both courses are shown beside each other; the results
    are those that were recorded, although a policy that probes otherwise would have seen others.
    """
    settings = read_settings(config, env_file, data_dir)
    wanted, span = find_purpose(purpose), find_span(since)
    policy = change(settings.policy_for(wanted), changes or ())
    from monitor.cli import replay_report

    record = asyncio.run(_read(settings, wanted, span))
    report = replay_report.compare(wanted, record, record.as_of - span, policy, free=bool(changes))
    if as_json:
        show_json(replay_report.as_json(report))
    else:
        replay_report.show(report, span=since)
    return 0 if report.reproduced or changes else 1


def change(policy: "Policy", changes: "Sequence[str]") -> "Policy":
    """The policy with `name=value` changes.

    Raises:
        Refused: one can't be used.
    """
    from difflib import get_close_matches

    from monitor.cli.refusal import Refused
    from monitor.settings.policies import NAMES, PolicyError, change_policy, policy_name

    found: dict[str, object] = {}
    for written in changes:
        key, separator, value = written.partition("=")
        name = policy_name(key.strip())
        if not separator or name is None:
            near = get_close_matches(key.strip(), NAMES, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise Refused(f"--set {written}: write NAME=VALUE with a name of the policy, as in fall=2{hint}")
        found[name] = value.strip()
    try:
        return change_policy(policy, found)
    except PolicyError as error:
        raise Refused(f"--set {error}") from error


async def _read(settings: "Settings", purpose: "Purpose", span: timedelta) -> "Record":
    from monitor.cli.database import open_database
    from monitor.storage.record import read_clock, read_record

    async with open_database(settings) as connection:
        begin: datetime = await read_clock(connection) - span
        return await read_record(connection, purpose, begin)
