"""`llm-monitor maintenance`: take a provider out of service, now or in a span to come."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.acting import (
    DONE,
    For,
    Names,
    ProviderName,
    Reason,
    Until,
    act,
    end_said,
    until_said,
)
from monitor.cli.console import plain, show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, read_settings
from monitor.cli.purpose import find_instant, instant
from monitor.cli.refusal import Refused

if TYPE_CHECKING:
    from monitor.storage.operator import By, MaintenanceSet

From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="From when on, as in 2026-03-01T12:00 (UTC); else from now."),
]
End = Annotated[bool, typer.Option("--end", help="End it now, or call off the one that is planned.")]


def maintenance(
    provider: ProviderName,
    begin: From = None,
    span: For = None,
    until: Until = None,
    end: End = False,
    reason: Reason = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Take a provider out of service in every purpose, without an end until --end."""
    settings = read_settings(config, env_file, data_dir)
    if end and (begin, span, until) != (None, None, None):
        raise Refused("--end ends it now: leave --from, --for and --until out")
    starts_at = find_instant(begin, "--from") if begin is not None else None
    ends_at = end_said(span, until)

    async def do(connection: Any, names: Names, by: "By") -> "MaintenanceSet":
        from monitor.storage.operator import end_maintenance, set_maintenance

        ref = names.find(provider)
        if end:
            return await end_maintenance(connection, ref, by)
        return await set_maintenance(connection, ref, starts_at, ends_at, by)

    found, names = act(settings, do, reason)
    if as_json:
        show_json(as_dict(found))
    else:
        unchanged = "" if found.changed else " Nothing has changed: it was so already."
        print(f"{plain(names.called(found.provider))}: {_told(found, ended=end)}{unchanged}")
    return DONE


def as_dict(found: "MaintenanceSet") -> dict[str, Any]:
    """A maintenance under names that stay."""
    span = found.span
    return {
        "provider": str(found.provider),
        "name": found.name,
        "changed": found.changed,
        "in_maintenance": found.lasts,
        "starts_at": span.since.isoformat() if span else None,
        "ends_at": span.until.isoformat() if span and span.until else None,
        "purposes": list(found.purposes),
    }


def _told(found: "MaintenanceSet", *, ended: bool) -> str:
    span = found.span
    if ended:
        return (
            "in service; purposes return to it by the rules." if span or not found.changed else "called off."
        )
    if span is None:
        return "in service."
    named = f" It is named by {', '.join(found.purposes)}." if found.purposes else ""
    until = until_said(span.until, "until llm-monitor maintenance --end")
    if found.lasts:
        return f"in maintenance {until}.{named}"
    return f"in maintenance from {instant(span.since)} on, {until}.{named}"
