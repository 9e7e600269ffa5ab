"""All that the status page shows, read in one snapshot."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from monitor.domain.acts import ActRecord
from monitor.domain.journal import Entry, EntryKind
from monitor.domain.outcome import ProbeResult
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import ProbeKind
from monitor.storage.columns import NO_PURPOSE, provider_in
from monitor.storage.drawn import Drawn, read_drawn
from monitor.storage.journal import load_kinds
from monitor.storage.present import Noted, read_noted
from monitor.storage.queries import QUERIES
from monitor.storage.record import RecordedMove, read_acts, read_moves
from monitor.storage.status import ProviderStatus, Status, read_status_within, with_results
from monitor.storage.status_words import find_provider
from monitor.storage.uptime import page_results

READINGS_SPAN = timedelta(hours=6)
"""A provider that has told nothing of its credit for longer is said to have told nothing."""

READINGS_SPAN_ASKED = timedelta(hours=1)
"""The same of those that are not shown: of a thousand, the last hour alone is looked through."""

READINGS_EVERY = timedelta(minutes=1)
"""How often that is done, whoever looks: it takes longer than all the rest of a page."""

PAST_EVERY = timedelta(seconds=15)
"""How often the past is read anew: it goes on by minutes, and takes a third of a look."""

MOST_KEPT = 16
"""The past of so many sets of providers at a time."""

T = TypeVar("T")
_Target = tuple[ProviderRef, Purpose | None]
_Past = tuple[Drawn, Mapping[ProviderRef, "Told"]]

_TOLD = [kind for kind in EntryKind if kind is not EntryKind.SETTLED]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeRecord:
    """A purpose's present and its last days.

    Attributes:
        noted: how it stands.
        moves: of the span, and the last one before it, oldest first.
        entries: of the journal that tell what happened.
        acts: what operators did.
    """

    noted: Noted
    moves: tuple[RecordedMove, ...]
    entries: tuple[Entry, ...]
    acts: tuple[ActRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a provider told last of itself; None where it did not lately.

    Attributes:
        credit_remaining_usd: credit left on the account, USD.
        ratelimit_remaining: what is left, by limit (`requests`, `tokens`).
        tls_expires_at: the end of its certificate.
    """

    credit_remaining_usd: float | None = None
    ratelimit_remaining: Mapping[str, float] | None = None
    tls_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRecord:
    """What was read.

    Attributes:
        status: everything's, at one instant.
        since: how far back the purposes' records reach.
        purposes: by name, those of known purposes that have a row.
        shown: the providers chosen, in that order.
        told: what providers told of themselves.
        drawn: what is drawn of the past, of purposes and of the providers chosen.
    """

    status: Status
    since: datetime
    purposes: Mapping[Purpose, PurposeRecord]
    shown: tuple[ProviderStatus, ...]
    told: Mapping[ProviderRef, Told]
    drawn: Drawn


class Kept:
    """What changes slowly and takes longest to read, kept for a while; one for an application."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._told: Mapping[ProviderRef, Told] = {}
        self._told_at: datetime | None = None
        self._past: dict[frozenset[_Target], _Past] = {}

    async def told(self, connection: Any, status: Status) -> Mapping[ProviderRef, Told]:
        """What those that are enabled told of themselves, of a minute ago at most.

        Args:
            connection: one of ours, in a transaction that sees one snapshot.
            status: of that snapshot.
        """
        now = status.as_of
        if self._told_at is None or not _is_fresh(self._told_at, now, READINGS_EVERY):
            enabled = [one for one in status.providers if one.enabled]
            self._told = await read_told(connection, enabled, now, READINGS_SPAN_ASKED)
            self._told_at = now
        return self._told

    async def past(
        self, connection: Any, now: datetime, providers: Sequence[ProviderStatus]
    ) -> tuple[Drawn, Mapping[ProviderRef, Told]]:
        """What is drawn of purposes and some providers, and what those told, of some seconds ago at most."""
        fresh = {key: one for key, one in self._past.items() if _is_fresh(one[0].as_of, now, PAST_EVERY)}
        targets = targets_of(providers)
        key = frozenset(targets)
        if key not in fresh:
            if len(fresh) >= MOST_KEPT:
                fresh.clear()
            drawn = await read_drawn(connection, now, targets, purposes=True)
            fresh[key] = drawn, await read_told(connection, providers, now)
        self._past = fresh
        return fresh[key]


def _is_fresh(at: datetime, now: datetime, age: timedelta) -> bool:
    """Whether something is young enough; by a clock that was set back nothing is."""
    return at <= now < at + age


async def read_page(
    connection: Any,
    span: timedelta,
    choose: Callable[[Status], tuple[Sequence[ProviderStatus], T]],
    kept: Kept,
) -> tuple[PageRecord, T]:
    """Read what a page shows.

    Args:
        connection: one of ours, outside of a transaction.
        span: how far back to tell what happened.
        choose: which providers are shown, of all; what else it says is given back.
        kept: of the looks before.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        status = await read_status_within(connection, results=False)
        now, since = status.as_of, status.as_of - span
        known = {one.value for one in Purpose}
        rows = [Purpose(one.purpose) for one in status.purposes if one.purpose in known]
        names = {one.ref: one.name for one in status.providers}
        purposes = {one: await _read_purpose(connection, one, since, now, names) for one in rows}
        chosen, choice = choose(status)
        shown = await with_results(connection, chosen)
        drawn, told = await kept.past(connection, now, shown)
        record = PageRecord(
            status=status,
            since=since,
            purposes=purposes,
            shown=shown,
            told={**await kept.told(connection, status), **told},
            drawn=drawn,
        )
    return record, choice


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRecord:
    """What was read of one provider.

    Attributes:
        status: everything's, at one instant.
        shown: the provider.
        told: what it told of itself.
        drawn: what is drawn of its past.
        results: its last ones, newest first.
    """

    status: Status
    shown: ProviderStatus
    told: Told
    drawn: Drawn
    results: tuple[ProbeResult, ...]


async def read_provider(connection: Any, ref: ProviderRef, results: int) -> ProviderRecord | None:
    """Read what a provider's own page shows; None when there is no such row.

    Args:
        connection: one of ours, outside of a transaction.
        ref: whose.
        results: how many at most.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        status = await read_status_within(connection, results=False)
        found = find_provider(status, ref)
        if found is None:
            return None
        (shown,) = await with_results(connection, [found])
        before = status.as_of + timedelta(minutes=1)
        return ProviderRecord(
            status=status,
            shown=shown,
            told=(await read_told(connection, [shown], status.as_of)).get(ref, Told()),
            drawn=await read_drawn(connection, status.as_of, targets_of([shown]), purposes=False),
            results=tuple(await page_results(connection, ref, before=before, limit=results)),
        )


async def read_told(
    connection: Any, providers: Sequence[ProviderStatus], now: datetime, span: timedelta = READINGS_SPAN
) -> dict[ProviderRef, Told]:
    """What providers told last of their credit, limits and certificates, within a span that ends now."""
    targets = targets_of(providers)
    rows = await connection.fetch(
        QUERIES["page_readings"],
        [str(ref.type) for ref, _ in targets],
        [ref.id for ref, _ in targets],
        [str(purpose or NO_PURPOSE) for _, purpose in targets],
        [str(kind) for kind in ProbeKind],
        now - span,
        now + timedelta(minutes=1),
    )
    newest: dict[ProviderRef, dict[str, Any]] = {}
    for row in rows:
        ref = provider_in(row)
        newest[ref] = {**row["readings"], **newest.get(ref, {})}
    return {ref: _told(readings) for ref, readings in newest.items()}


def targets_of(providers: Sequence[ProviderStatus]) -> list[_Target]:
    """What is probed of some providers."""
    return [(one.ref, belief.purpose) for one in providers for belief in one.beliefs]


def _told(readings: Mapping[str, Any]) -> Told:
    expires = readings.get("tls_expires_at")
    return Told(
        credit_remaining_usd=readings.get("credit_remaining_usd"),
        ratelimit_remaining=readings.get("ratelimit_remaining"),
        tls_expires_at=None if expires is None else datetime.fromisoformat(expires),
    )


async def _read_purpose(
    connection: Any, purpose: Purpose, since: datetime, now: datetime, names: Mapping[ProviderRef, str]
) -> PurposeRecord:
    return PurposeRecord(
        noted=await read_noted(connection, purpose, now, names),
        moves=tuple(await read_moves(connection, purpose, since, now)),
        entries=tuple(await load_kinds(connection, purpose, since, _TOLD)),
        acts=tuple(await read_acts(connection, purpose, since, now)),
    )
