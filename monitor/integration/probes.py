"""A probe that somebody asks for: by the daemon that decides, or else in a process of its own."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

import monitor
from monitor.domain.catalog import Catalog
from monitor.domain.configuration import read_configuration
from monitor.domain.metadata import RowProblem
from monitor.domain.one_target import Row, find_row, purpose_of, purposes_of, read_target
from monitor.domain.outcome import OUTCOME_WORDS, Outcome
from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.rows import ConfigurationRows
from monitor.domain.target import ProbeKind, Target
from monitor.integration.loading import Store, Unusable, metadata_addresses_allowed, open_key
from monitor.integration.models import ask_models
from monitor.probing.catalog import load_catalog
from monitor.probing.child import facts_of
from monitor.storage.asked_probes import ask_for_probe, find_prober, read_asked_result
from monitor.storage.providers import read_rows

HEARD_WITHIN: Final = timedelta(seconds=20)  # a daemon beats every 5 s
LOOK_SECONDS: Final = 0.2
MARGIN_SECONDS: Final = 10.0
IMPORT_SECONDS: Final = 60.0  # litellm's, on a busy machine
LIST_SECONDS: Final = 5.0
_PASSED_ON: Final = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    }
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What an asked probe showed.

    Attributes:
        success: it was as it should be.
        outcome: the probe's word.
        message: for a person; no key in it.
        at: when it was asked for, UTC.
    """

    success: bool
    outcome: Outcome
    message: str
    at: datetime


async def test_row(manager: Store, ref: ProviderRef, purpose: Purpose | None = None) -> Tested:  # noqa: PT028 - it is no test
    """Probe a provider now, enabled or not.

    A daemon that decides and probes it anyway is asked: the result counts like any other. Without one,
    or for a row that is not probed, a process of its own does it, and the result is only told.

    Args:
        manager: the application's pool, and the keys of its keys.
        ref: the row.
        purpose: what to ask it for; None for what it is used for. A server without a use gets the free check.
    """
    catalog = load_catalog()
    async with manager.pool.acquire() as connection:
        rows = await read_rows(connection)
        alive, now = await find_prober(connection, HEARD_WITHIN)
    row = find_row(rows, ref)
    if row is None:
        return _said(Outcome.PROBE_INVALID, f"{ref}: there is no such row", now)
    try:
        target = _target(rows, row, purpose, catalog)
        key = open_key(manager, row, target)
    except RowProblem as problem:
        return _said(Outcome.PROBE_INVALID, str(problem), now)
    except Unusable as problem:
        return _said(Outcome.AUTH_FAILED, str(problem), now)
    if alive and _is_probed(rows, target, catalog):
        found = await _ask_daemon(manager, target, now)
        if found is not None:
            return found
        log.warning("asked_probe_unanswered", target=str(target.id))
    return await _ask_child(row, target, key, now)


async def list_models(manager: Store, server_id: int) -> list[str]:
    """The models that a server lists; empty when it does not answer, or its row can't be used."""
    async with manager.pool.acquire() as connection:
        rows = await read_rows(connection)
    row = find_row(rows, ProviderRef(type=ProviderType.AI_SERVER, id=server_id))
    if row is None:
        return []
    try:
        target = _read(row, None, load_catalog())
        key = open_key(manager, row, target)
    except (RowProblem, Unusable):
        return []
    return list(
        await ask_models(target, key, LIST_SECONDS, allow_metadata_addresses=metadata_addresses_allowed())
        or ()
    )


def _read(row: Row, purpose: Purpose | None, catalog: Catalog) -> Target:
    return read_target(row, purpose, catalog, allow_metadata_addresses=metadata_addresses_allowed())


def _target(rows: ConfigurationRows, row: Row, purpose: Purpose | None, catalog: Catalog) -> Target:
    if purpose is not None:
        return _read(row, purpose, catalog)
    if row.ref.type is ProviderType.AI_SERVER and not purposes_of(rows, row):
        return _read(row, None, catalog)
    try:
        return _read(row, purpose_of(rows, row, catalog), catalog)
    except RowProblem:
        if purposes_of(rows, row):
            raise
        return _read(
            row, None, catalog
        )  # nobody uses it yet, and nobody named a model: its key can be looked at


def _is_probed(rows: ConfigurationRows, target: Target, catalog: Catalog) -> bool:
    found = read_configuration(
        rows, catalog, allow_metadata_addresses=metadata_addresses_allowed()
    ).targets.get(target.id)
    return found is not None and found.fingerprint == target.fingerprint


async def _ask_daemon(manager: Store, target: Target, asked_at: datetime) -> Tested | None:
    """What the daemon's next probe shows; None when none comes in time."""
    kind = ProbeKind.LIGHT if target.id.purpose is None else ProbeKind.DEEP
    async with manager.pool.acquire() as connection:
        await ask_for_probe(connection, target.id)
    deadline = asyncio.get_running_loop().time() + _longest_seconds(target) + MARGIN_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
        async with manager.pool.acquire() as connection:
            found = await read_asked_result(connection, target, kind, asked_at)
        if found is not None:
            words = _words(kind, found.outcome, found.detail, found.model, found.latency_seconds)
            return _said(found.outcome, words, asked_at)
    return None


async def _ask_child(row: Row, target: Target, key: str | None, asked_at: datetime) -> Tested:
    facts = facts_of(row, key, target.id.purpose, metadata_addresses=metadata_addresses_allowed())
    try:
        async with asyncio.timeout(_longest_seconds(target) + IMPORT_SECONDS):
            answer = json.loads(await _run_child(facts))
    except TimeoutError:
        return _said(Outcome.PROBE_INVALID, "the probe's own process did not end in time", asked_at)
    except (OSError, ValueError):
        return _said(Outcome.PROBE_INVALID, "the probe's own process could not be run", asked_at)
    kind, outcome = ProbeKind(answer["kind"]), Outcome(answer["outcome"])
    words = _words(kind, outcome, answer["detail"], answer.get("model"), answer.get("latency_seconds"))
    return _said(outcome, words, asked_at)


async def _run_child(facts: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "monitor.probing.child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
        env=_environment(),
    )
    try:
        answer, _ = await process.communicate(facts.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return answer


def _environment() -> dict[str, str]:
    """No key of the application's environment, and what it takes to find ourselves and the way out."""
    passed = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
    return passed | {"PYTHONPATH": str(Path(monitor.__file__).parents[1])}


def _longest_seconds(target: Target) -> float:
    policy = Policy()
    longest = policy.timeout_loading if target.entry.loaded_path is not None else policy.timeout
    return (target.probe.timeout or longest).total_seconds()


def _words(
    kind: ProbeKind, outcome: Outcome, detail: str, model: str | None, latency_seconds: float | None
) -> str:
    if outcome is Outcome.OK:
        took = "" if latency_seconds is None else f" in {latency_seconds:.2f} s"
        if kind is ProbeKind.LIGHT:
            return f"the free check passed{took}; no request of a purpose was made"
        return f"{OUTCOME_WORDS[outcome]}{f' from {model}' if model else ''}{took}"
    return f"{OUTCOME_WORDS[outcome]}: {detail}" if detail else OUTCOME_WORDS[outcome]


def _said(outcome: Outcome, message: str, at: datetime) -> Tested:
    return Tested(success=outcome is Outcome.OK, outcome=outcome, message=message, at=at.astimezone(UTC))
