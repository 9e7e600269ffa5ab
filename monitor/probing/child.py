"""One probe in a process of its own: facts as JSON on standard input, the result as JSON on standard output.

An application that asks for a probe shall not import litellm for it. The key is among the facts; it stands in
no argument and no environment, where others on the machine could read it.
"""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any, Final

from monitor.domain.metadata import RowProblem
from monitor.domain.one_target import Row, read_target
from monitor.domain.outcome import Outcome, ProbeResult
from monitor.domain.policy import Policy
from monitor.domain.provider import Purpose
from monitor.domain.rows import KeyRow, ServerRow
from monitor.domain.target import ProbeKind, SealedKey, Target
from monitor.probing.catalog import load_catalog
from monitor.probing.destinations import Destinations
from monitor.probing.prober import Prober

_NOT_MADE: Final = (Outcome.PROBE_INVALID, Outcome.INDETERMINATE)


def facts_of(row: Row, key: str | None, purpose: Purpose | None, *, metadata_addresses: bool) -> str:
    """What a child is told, as JSON with the key in plain text: for a pipe and nothing else."""
    facts: dict[str, Any] = {
        "id": row.id,
        "metadata": row.metadata,
        "key": key,
        "purpose": purpose,
        "metadata_addresses": metadata_addresses,
    }
    if isinstance(row, ServerRow):
        facts |= {
            "name": row.name,
            "server_type": row.server_type,
            "base_url": row.base_url,
            "model_path": row.model_path,
        }
    else:
        facts |= {"provider": row.provider, "key_name": row.key_name}
    return json.dumps(facts)


async def probe(facts: dict[str, Any]) -> dict[str, Any]:
    """The probe that these facts allow: a deep one where there is a purpose to ask for, else a light one.

    Returns:
        outcome, kind, detail, model, latency_seconds.
    """
    purpose = None if facts["purpose"] is None else Purpose(facts["purpose"])
    target = read_target(
        _row(facts), purpose, load_catalog(), allow_metadata_addresses=facts["metadata_addresses"]
    )
    prober = Prober(
        unseal=lambda sealed: sealed.text,
        now=lambda: datetime.now(UTC),
        destinations=Destinations(allow_metadata_addresses=facts["metadata_addresses"]),
    )
    await prober.start()
    try:
        result = await _probe(prober, target)
    finally:
        await prober.close()
    return {
        "outcome": result.outcome,
        "kind": result.kind,
        "detail": result.detail,
        "model": result.model,
        "latency_seconds": result.latency_seconds,
    }


async def _probe(prober: Prober, target: Target) -> ProbeResult:
    light_alone = target.id.purpose is None
    result = await prober.probe(target, ProbeKind.LIGHT if light_alone else ProbeKind.DEEP, Policy())
    if light_alone or result.outcome not in _NOT_MADE or target.entry.key_check_path is None:
        return result
    # No model to ask for, but the key can be looked at.
    light = await prober.probe(target, ProbeKind.LIGHT, Policy())
    return result if light.outcome in _NOT_MADE else light


def _row(facts: dict[str, Any]) -> Row:
    key = facts["key"]
    sealed = None if key is None else SealedKey(key, encrypted=False)
    if "server_type" in facts:
        return ServerRow(
            id=facts["id"],
            name=facts["name"],
            server_type=facts["server_type"],
            base_url=facts["base_url"],
            api_key=sealed,
            model_path=facts["model_path"],
            enabled=True,
            purposes=frozenset(),
            health_status=None,
            metadata=facts["metadata"],
        )
    return KeyRow(
        id=facts["id"],
        provider=facts["provider"],
        key_name=facts["key_name"],
        key=sealed or SealedKey("", encrypted=False),
        enabled=True,
        metadata=facts["metadata"],
    )


def main() -> int:
    """Read, probe, answer."""
    # Whatever litellm prints goes elsewhere: the answer alone goes where it is awaited.
    answer = os.dup(1)
    os.dup2(2, 1)
    facts = json.loads(sys.stdin.buffer.read())
    try:
        result = asyncio.run(probe(facts))
    except RowProblem as problem:
        result = {"outcome": Outcome.PROBE_INVALID, "kind": ProbeKind.DEEP, "detail": str(problem)}
    with os.fdopen(answer, "w") as out:
        json.dump(result, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
