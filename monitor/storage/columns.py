"""Columns that name providers and targets: read as such, and the other way round."""

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.target import TargetId

NO_PURPOSE = "none"
"""Stands for the purpose of a target that is only checked lightly."""

KEPT = 2**14
"""So many are made once: each of them is read in every look at everything."""


def provider_in(row: Any) -> ProviderRef:
    """The provider of a row."""
    return provider_of(row["provider_type"], row["provider_id"])


def target_in(row: Any) -> TargetId:
    """The target of a row."""
    return target_of(row["provider_type"], row["provider_id"], row["purpose"])


@lru_cache(maxsize=KEPT)
def provider_of(type_: str, id_: int) -> ProviderRef:
    """A provider by its two columns."""
    return ProviderRef(type=ProviderType(type_), id=id_)


@lru_cache(maxsize=KEPT)
def target_of(type_: str, id_: int, purpose: str) -> TargetId:
    """A target by its three columns."""
    return TargetId(
        provider=provider_of(type_, id_), purpose=None if purpose == NO_PURPOSE else Purpose(purpose)
    )


def ref_columns(refs: Collection[ProviderRef] | None) -> tuple[list[str] | None, list[int] | None]:
    """Providers as two columns; None for all of them."""
    return (None, None) if refs is None else ([str(one.type) for one in refs], [one.id for one in refs])
