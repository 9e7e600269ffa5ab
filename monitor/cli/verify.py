"""`llm-monitor verify`: whether each purpose would work now, and whether somebody could take over."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.console import mark, plain, show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, quiet_logs, read_settings
from monitor.domain.provider import ProviderRef, Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from monitor.cli.verify_checks import Check, Records
    from monitor.domain.preference import Pointers
    from monitor.probing.prober import Prober
    from monitor.settings import Settings


def verify(
    purpose: Annotated[Purpose | None, typer.Argument(help="Only this purpose.", show_default=False)] = None,
    inference: Annotated[
        bool, typer.Option("--inference", help="Also make a real request to each active provider.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Check the active provider, key, call, health and fallback of each purpose. Exit 1 when one fails."""
    settings = read_settings(config, env_file, data_dir)
    quiet_logs(settings)
    checks = asyncio.run(_verify(settings, purpose, inference))
    passed = {one: all(check.good is not False for check in found) for one, found in checks.items()}
    if as_json:
        show_json(
            {
                "purposes": [
                    {
                        "purpose": one,
                        "passed": passed[one],
                        "checks": [{"good": check.good, "text": check.text} for check in found],
                    }
                    for one, found in checks.items()
                ]
            }
        )
    elif not checks:
        print(f"{mark(False)} no purpose has an active provider: write a row into active_providers")
    else:
        for one, found in checks.items():
            _show(one, found)
    return 0 if checks and all(passed.values()) else 1


async def _verify(
    settings: "Settings", only: Purpose | None, inference: bool
) -> "dict[Purpose, list[Check]]":
    from monitor.cli.database import open_database
    from monitor.cli.keys import database_clock, open_unseal
    from monitor.cli.verify_checks import Records, check_purpose, read_pointers
    from monitor.probing.catalog import load_catalog
    from monitor.storage.providers import read_rows
    from monitor.storage.references import load_references
    from monitor.storage.status import read_status

    async with open_database(settings) as connection:
        records = Records(
            rows=await read_rows(connection),
            status=await read_status(connection),
            vectors=await load_references(connection),
            catalog=load_catalog(),
            unseal=await open_unseal(settings, connection),
            allow_metadata_addresses=settings.allow_metadata_addresses,
        )
        now = await database_clock(connection)
    pointers = read_pointers(records)
    purposes = [only] if only else [one for one in Purpose if one in pointers]
    checks = {purpose: check_purpose(records, purpose, pointers.get(purpose)) for purpose in purposes}
    if inference:
        await _infer(records, pointers, checks, settings, now)
    return checks


async def _infer(
    records: "Records",
    pointers: "Mapping[Purpose, Pointers]",
    checks: "Mapping[Purpose, list[Check]]",
    settings: "Settings",
    now: "Callable[[], datetime]",
) -> None:
    from monitor.probing.destinations import Destinations
    from monitor.probing.prober import Prober

    prober = Prober(
        unseal=records.unseal,
        now=now,
        destinations=Destinations(allow_metadata_addresses=settings.allow_metadata_addresses),
    )
    await prober.start()
    try:
        for purpose in checks.keys() & pointers.keys():
            checks[purpose].append(
                await _inference(records, purpose, pointers[purpose].active, prober, settings)
            )
    finally:
        await prober.close()


async def _inference(
    records: "Records", purpose: Purpose, ref: ProviderRef, prober: "Prober", settings: "Settings"
) -> "Check":
    from monitor.cli.refusal import Refused
    from monitor.cli.verify_checks import Check
    from monitor.domain.outcome import OUTCOME_WORDS, Outcome
    from monitor.domain.target import ProbeKind

    try:
        target = records.target(ref, purpose)
    except Refused:
        return Check(False, "inference: not tried, for the row can't be used")
    result = await prober.probe(target, ProbeKind.DEEP, settings.policy_for(purpose))
    took = f" in {result.latency_seconds:.3f} s" if result.latency_seconds is not None else ""
    detail = f": {plain(result.detail)}" if result.detail else ""
    return Check(result.outcome is Outcome.OK, f"inference: {OUTCOME_WORDS[result.outcome]}{took}{detail}")


def _show(purpose: Purpose, checks: "list[Check]") -> None:
    print(purpose)
    for check in checks:
        print(f"  {mark(check.good)} {check.text}")
