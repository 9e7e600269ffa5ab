"""Probe results, as rows."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from monitor.domain.outcome import Outcome, ProbeResult, Readings, ResultId
from monitor.domain.provider import ProviderRef
from monitor.domain.target import ModelName, ProbeKind, TargetId
from monitor.storage.columns import NO_PURPOSE, provider_in, target_in
from monitor.storage.partitions import ensure_days
from monitor.storage.queries import QUERIES

_INT4 = 2**31 - 1
_INT8 = 2**63 - 1


async def insert_results(connection: Any, results: Sequence[ProbeResult]) -> int:
    """Store a batch in one statement, each result once however often it is given.

    A late result gets the partition of its day, however old: the next pruning takes it again. Vectors and
    model lists of the readings are not stored: they are large, and kept elsewhere.

    Args:
        connection: in a transaction or not.
        results: in any order.

    Returns:
        How many were new.
    """
    if not results:
        return 0
    await ensure_days(connection, (result.started_at.astimezone(UTC).date() for result in results))
    columns = zip(*(_row(result) for result in results), strict=True)
    return int(await connection.fetchval(QUERIES["insert_results"], *(list(column) for column in columns)))


async def recent_results(
    connection: Any, target: TargetId, *, kind: ProbeKind | None = None, limit: int = 20
) -> list[ProbeResult]:
    """A target's last results, newest first."""
    rows = await connection.fetch(
        QUERIES["recent_results"],
        str(target.provider.type),
        target.provider.id,
        str(target.purpose or NO_PURPOSE),
        None if kind is None else str(kind),
        limit,
    )
    return [read_result(row) for row in rows]


async def fetch_results(connection: Any, ids: Iterable[ResultId]) -> list[dict[str, Any]]:
    """Results as JSON has them, oldest first, for a transition's evidence; unknown ids are left out."""
    rows = await connection.fetch(QUERIES["fetch_results"], [UUID(id_) for id_ in ids])
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


async def spent_since(connection: Any, since: datetime) -> dict[ProviderRef, float]:
    """USD that probing has cost from `since` on, by provider; one that cost nothing is left out."""
    return {
        provider_in(row): row["cost_usd"] for row in await connection.fetch(QUERIES["spent_since"], since)
    }


def _row(result: ProbeResult) -> tuple[Any, ...]:
    target = result.target
    return (
        UUID(result.id),
        result.started_at,
        result.ended_at,
        str(target.provider.type),
        target.provider.id,
        str(target.purpose or NO_PURPOSE),
        str(result.kind),
        str(result.outcome),
        _text(result.fingerprint),
        None if result.model is None else _text(result.model),
        result.latency_seconds,
        result.ttft_seconds,
        _whole(result.http_status, _INT4),
        None if result.retry_after is None else result.retry_after.total_seconds(),
        _whole(result.tokens_in, _INT8),
        _whole(result.tokens_out, _INT8),
        result.cost_usd,
        _text(result.detail),
        _readings(result.readings),
        None if result.reach is None else result.reach.total_seconds(),
    )


# A provider's answer may hold any number and any character. One that PostgreSQL refuses would fail the whole
# batch, now and at every repetition.


def _text(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _whole(number: int | None, most: int) -> int | None:
    return None if number is None else max(-most, min(number, most))


def _readings(readings: Readings) -> dict[str, Any]:
    stored: dict[str, Any] = {}
    limits = {
        _text(name): value for name, value in readings.ratelimit_remaining.items() if math.isfinite(value)
    }
    if limits:
        stored["ratelimit_remaining"] = limits
    if readings.credit_remaining_usd is not None and math.isfinite(readings.credit_remaining_usd):
        stored["credit_remaining_usd"] = readings.credit_remaining_usd
    if readings.tls_expires_at is not None:
        stored["tls_expires_at"] = readings.tls_expires_at.isoformat()
    if readings.model_listed is not None:
        stored["model_listed"] = readings.model_listed
    return stored


def read_result(row: Any) -> ProbeResult:
    """A row of `monitor.results`."""
    readings = row["readings"]
    expires = readings.get("tls_expires_at")
    retry = row["retry_after_seconds"]
    return ProbeResult(
        id=ResultId(row["id"].hex),
        target=target_in(row),
        fingerprint=row["fingerprint"],
        kind=ProbeKind(row["kind"]),
        outcome=Outcome(row["outcome"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        latency_seconds=row["latency_seconds"],
        ttft_seconds=row["ttft_seconds"],
        model=None if row["model"] is None else ModelName(row["model"]),
        http_status=row["http_status"],
        retry_after=None if retry is None else timedelta(seconds=retry),
        tokens_in=row["tokens_in"],
        tokens_out=row["tokens_out"],
        cost_usd=row["cost_usd"],
        detail=row["detail"],
        readings=Readings(
            ratelimit_remaining=readings.get("ratelimit_remaining", {}),
            credit_remaining_usd=readings.get("credit_remaining_usd"),
            tls_expires_at=None if expires is None else datetime.fromisoformat(expires),
            model_listed=readings.get("model_listed"),
        ),
        reach=None if row["reach_seconds"] is None else timedelta(seconds=row["reach_seconds"]),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return value.isoformat()
    return value
