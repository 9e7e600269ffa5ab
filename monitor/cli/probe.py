"""`llm-monitor probe`: one real probe of one row, now."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.console import mark, plain, seconds, show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, quiet_logs, read_settings
from monitor.domain.outcome import OUTCOME_WORDS, Outcome, ProbeResult
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import ProbeKind, Target

if TYPE_CHECKING:
    from monitor.settings import Settings


def probe(
    ref: Annotated[str, typer.Argument(metavar="REF", help="The row: api_key:ID or ai_server:ID.")],
    purpose: Annotated[Purpose | None, typer.Option("--purpose", help="What to probe it for.")] = None,
    kind: Annotated[
        ProbeKind, typer.Option("--kind", help="A real request, or the free check.")
    ] = ProbeKind.DEEP,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Probe one provider now, enabled or not, and record nothing. Exit 0 when it answers as it should."""
    try:
        provider = ProviderRef.parse(ref)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    settings = read_settings(config, env_file, data_dir)
    quiet_logs(settings)
    target, result = asyncio.run(_probe(settings, provider, purpose, kind))
    if as_json:
        show_json(as_dict(target, result))
    else:
        _show(target, result)
    return 0 if result.outcome is Outcome.OK else 1


async def _probe(
    settings: "Settings", ref: ProviderRef, purpose: Purpose | None, kind: ProbeKind
) -> tuple[Target, ProbeResult]:
    from monitor.cli.database import open_database
    from monitor.cli.keys import database_clock, open_unseal
    from monitor.cli.one_target import purpose_of, read_target
    from monitor.probing.catalog import load_catalog
    from monitor.storage.providers import read_rows

    catalog = load_catalog()
    async with open_database(settings) as connection:
        rows = await read_rows(connection)
        target = read_target(
            rows,
            ref,
            purpose or purpose_of(rows, ref, catalog),
            catalog,
            allow_metadata_addresses=settings.allow_metadata_addresses,
        )
        unseal = await open_unseal(settings, connection)
        now = await database_clock(connection)
    from monitor.probing.destinations import Destinations
    from monitor.probing.prober import Prober

    prober = Prober(
        unseal=unseal,
        now=now,
        destinations=Destinations(allow_metadata_addresses=settings.allow_metadata_addresses),
    )
    await prober.start()
    try:
        return target, await prober.probe(target, kind, settings.policy_for(target.id.purpose))
    finally:
        await prober.close()


def _show(target: Target, result: ProbeResult) -> None:
    good = result.outcome is Outcome.OK
    print(
        f"{target.id.provider} ({plain(target.name)}), {target.id.purpose or 'no purpose'},"
        f" {result.kind} probe"
    )
    print(f"{mark(good)} {result.outcome}: {OUTCOME_WORDS[result.outcome]}")
    lines = {
        "model": plain(result.model) if result.model else None,
        "latency": seconds(result.latency_seconds) if result.latency_seconds is not None else None,
        "first token": seconds(result.ttft_seconds) if result.ttft_seconds is not None else None,
        "HTTP status": result.http_status,
        "retry after": result.retry_after and seconds(result.retry_after.total_seconds()),
        "tokens": _tokens(result),
        "cost": None if result.cost_usd is None else f"{result.cost_usd:.6f} USD",
        "detail": plain(result.detail) or None,
    }
    for name, value in lines.items():
        if value is not None:
            print(f"  {name:<12} {value}")


def _tokens(result: ProbeResult) -> str | None:
    if result.tokens_in is None and result.tokens_out is None:
        return None
    known = ("?" if count is None else str(count) for count in (result.tokens_in, result.tokens_out))
    return "{} in, {} out".format(*known)


def as_dict(target: Target, result: ProbeResult) -> dict[str, Any]:
    """A probe under names that stay."""
    return {
        "provider": str(target.id.provider),
        "name": target.name,
        "purpose": target.id.purpose,
        "kind": result.kind,
        "outcome": result.outcome,
        "meaning": OUTCOME_WORDS[result.outcome],
        "started_at": result.started_at.isoformat(),
        "latency_seconds": result.latency_seconds,
        "ttft_seconds": result.ttft_seconds,
        "model": result.model,
        "http_status": result.http_status,
        "retry_after_seconds": result.retry_after.total_seconds() if result.retry_after is not None else None,
        "tokens_in": result.tokens_in,
        "tokens_out": result.tokens_out,
        "cost_usd": result.cost_usd,
        "detail": result.detail,
    }
