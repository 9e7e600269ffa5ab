"""What an operator wants, read from what the application's row says now."""

from collections.abc import Iterable
from dataclasses import dataclass

from monitor.domain.target import ProviderRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointers:
    """The two pointers of a purpose's row in `active_providers`."""

    active: ProviderRef
    fallback: ProviderRef | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """An operator's write.

    Attributes:
        preference: the order it makes.
        chosen: whether it named who serves; an edit of the fallback alone does not.
    """

    preference: tuple[ProviderRef, ...]
    chosen: bool


def read_edit(seen: Pointers | None, row: Pointers, preference: tuple[ProviderRef, ...]) -> Edit | None:
    """The operator's write behind a row that is not what we last saw or wrote; None when it is.

    Args:
        seen: what we last saw or wrote; None when the purpose is new to us.
        row: what stands there now.
        preference: the order so far.
    """
    if seen == row:
        return None
    if seen is None or seen.active != row.active:
        return Edit(preference=ordered((row.active, row.fallback, *preference)), chosen=True)
    first, rest = preference[:1] or (row.active,), preference[2:]
    if row.fallback in first:
        # After a failover the preferred one is a fallback like any other: no reason to drop the second.
        return Edit(preference=ordered(preference or (row.active,)), chosen=False)
    return Edit(preference=ordered((*first, row.fallback, *rest)), chosen=False)


def ordered(refs: Iterable[ProviderRef | None]) -> tuple[ProviderRef, ...]:
    """The references in their order, each once, without the absent ones."""
    return tuple(dict.fromkeys(ref for ref in refs if ref is not None))
