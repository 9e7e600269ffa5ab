"""The vectors by which embedders are compared."""

from collections.abc import Sequence
from typing import Any

from monitor.domain.provider import ProviderRef
from monitor.storage.columns import provider_in
from monitor.storage.queries import QUERIES


async def load_references(connection: Any) -> dict[tuple[ProviderRef, str], tuple[float, ...]]:
    """Every embedder's first good vector, by provider and fingerprint."""
    return {
        (
            provider_in(row),
            row["fingerprint"],
        ): tuple(row["vector"])
        for row in await connection.fetch(QUERIES["load_references"])
    }


async def save_reference(
    connection: Any, ref: ProviderRef, fingerprint: str, vector: Sequence[float]
) -> None:
    """Keep an embedder's vector, unless one is kept already."""
    await connection.execute(QUERIES["save_reference"], str(ref.type), ref.id, fingerprint, list(vector))
