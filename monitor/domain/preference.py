"""What an operator wants, read from what the application's row says now."""

from collections.abc import Callable, Iterable
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


def next_after(
    order: tuple[ProviderRef, ...],
    to: ProviderRef,
    left: ProviderRef | None,
    is_fit: Callable[[ProviderRef], bool],
) -> ProviderRef | None:
    """Whom the application's fallback columns name once `to` serves.

    Back on the preferred one it is the operator's own second; elsewhere the most preferred other one that is
    eligible, else the one that was left.

    Args:
        order: the operator's.
        to: who serves.
        left: who was left, if its row still stands.
        is_fit: whether the purpose may be moved onto somebody.
    """
    if order and to == order[0]:
        return order[1] if len(order) > 1 else None
    for ref in order:
        if ref != to and is_fit(ref):
            return ref
    return left if left != to else None


def ordered(refs: Iterable[ProviderRef | None]) -> tuple[ProviderRef, ...]:
    """The references in their order, each once, without the absent ones."""
    return tuple(dict.fromkeys(ref for ref in refs if ref is not None))
