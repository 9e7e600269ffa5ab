"""How each provider fares, in words; the unwell first, and a page of them at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from urllib.parse import urlencode

from monitor.domain.application_status import worst
from monitor.domain.outcome import OUTCOME_WORDS
from monitor.domain.provider import ProviderRef
from monitor.domain.target import TargetId
from monitor.storage.drawn import Drawn
from monitor.storage.page import Told
from monitor.storage.status import Belief, ProviderStatus, Status
from monitor.storage.status_words import effective, find_provider, in_maintenance
from monitor.web.page.view_past import target_bars, target_chart, target_spans
from monitor.web.page.views import Fact, Named, ProviderView, Shelf, TargetView
from monitor.web.page.words import (
    STATUS_WORDS,
    TONES,
    WARNING_WORDS,
    Tone,
    blocks_in_words,
    clock,
    seconds,
)

PAGE_SIZE = 50
LONGEST_QUERY = 100
LOW_CREDIT_USD = 5.0
CERTIFICATE_SOON = timedelta(days=14)
STATES = ("all", "unwell", "serving")
_ORDER = {tone: place for place, tone in enumerate(Tone)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is asked for in the page's query string.

    Attributes:
        query: part of a provider's name, kind or reference.
        state: `all`, `unwell` or `serving`.
        page: from 1.
    """

    query: str = ""
    state: str = "all"
    page: int = 1

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filter":
        """From a query string; what makes no sense there is left out."""
        state, page = query.get("state", "all"), query.get("page", "1")
        return cls(
            query=query.get("q", "").strip()[:LONGEST_QUERY],
            state=state if state in STATES else "all",
            page=int(page) if page.isascii() and page.isdecimal() and 0 < len(page) < 6 else 1,
        )

    def write(self, page: int) -> str:
        """The query string of another page of the same."""
        pairs = {"q": self.query, "state": self.state if self.state != "all" else "", "page": page}
        return urlencode({name: value for name, value in pairs.items() if value})


def choose(status: Status, wanted: Filter) -> tuple[tuple[ProviderStatus, ...], Shelf]:
    """Which providers a page shows: those that fit, the unwell first, fifty at a time."""
    serving = {one.active for one in status.purposes}
    tones = {one.ref: tone_of(status, one) for one in status.providers}
    found = [one for one in status.providers if _fits(one, wanted, tones[one.ref], one.ref in serving)]
    found.sort(key=lambda one: (_ORDER[tones[one.ref]], one.ref not in serving, one.name.casefold()))
    pages = max(ceil(len(found) / PAGE_SIZE), 1)
    page = min(wanted.page, pages)
    shelf = Shelf(
        query=wanted.query,
        state=wanted.state,
        total=len(status.providers),
        unwell=sum(one in (Tone.BAD, Tone.WARN) for one in tones.values()),
        found=len(found),
        page=page,
        pages=pages,
        previous=wanted.write(page - 1) if page > 1 else None,
        next=wanted.write(page + 1) if page < pages else None,
    )
    return tuple(found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]), shelf


def _fits(provider: ProviderStatus, wanted: Filter, tone: Tone, serves: bool) -> bool:
    if wanted.state == "unwell" and tone not in (Tone.BAD, Tone.WARN):
        return False
    if wanted.state == "serving" and not serves:
        return False
    if not wanted.query:
        return True
    text = f"{provider.name} {provider.kind} {provider.ref}".casefold()
    return all(word in text for word in wanted.query.casefold().split())


def tone_of(status: Status, provider: ProviderStatus) -> Tone:
    """How a provider looks as a whole: as its worst target."""
    if not provider.enabled or in_maintenance(provider, status.as_of):
        return Tone.OFF
    return TONES[worst(tuple(effective(one, status.as_of) for one in provider.beliefs))]


def view_provider(
    status: Status, provider: ProviderStatus, facts: tuple[Fact, ...], drawn: Drawn
) -> ProviderView:
    """One provider.

    Args:
        status: read at the same moment.
        provider: its part of it.
        facts: what it told of itself.
        drawn: what is drawn of the past.
    """
    away = in_maintenance(provider, status.as_of)
    tone = tone_of(status, provider)
    word = STATUS_WORDS[worst(tuple(effective(one, status.as_of) for one in provider.beliefs))]
    return ProviderView(
        named=name_provider(status, provider.ref),
        type=str(provider.ref.type),
        id=provider.ref.id,
        kind=provider.kind,
        enabled=provider.enabled,
        tone=tone,
        word="in maintenance" if away else word if provider.enabled else "disabled",
        serves=tuple(one.purpose for one in status.purposes if one.active == provider.ref),
        maintenance=_maintenance(status, provider),
        in_maintenance=away,
        targets=tuple(_target(status, provider, one, drawn) for one in provider.beliefs),
        facts=facts,
    )


def name_provider(status: Status, ref: ProviderRef, names: Mapping[ProviderRef, str] | None = None) -> Named:
    """A provider's name, and where its page is; one that was deleted has none."""
    provider = find_provider(status, ref)
    if provider is None:
        known = (names or {}).get(ref)
        return Named(ref=str(ref), name=f"{known} (deleted)" if known else f"{ref} (deleted)", href=None)
    return Named(ref=str(ref), name=provider.name or str(ref), href=f"/providers/{ref.type}/{ref.id}")


def _maintenance(status: Status, provider: ProviderStatus) -> str:
    span = provider.maintenance
    if span is None:
        return ""
    until = f" until {clock(span.until, status.as_of)}" if span.until else " until somebody ends it"
    by = f" ({provider.maintenance_by})" if provider.maintenance_by else ""
    if span.holds(status.as_of):
        return f"In maintenance since {clock(span.since, status.as_of)}{until}{by}"
    return f"Maintenance planned from {clock(span.since, status.as_of)}{until}{by}"


def _target(status: Status, provider: ProviderStatus, belief: Belief, drawn: Drawn) -> TargetView:
    now = status.as_of
    target = TargetId(provider=provider.ref, purpose=belief.purpose)
    word = effective(belief, now)
    light = belief.purpose is None
    outcome = belief.light_outcome if light else belief.last_outcome
    reasons = [*blocks_in_words(belief.blocks), *(WARNING_WORDS[one] for one in belief.warnings)]
    if belief.stale_at is not None and belief.stale_at <= now:
        reasons.append("no recent result")
    return TargetView(
        purpose=str(belief.purpose) if belief.purpose else None,
        tone=TONES[word],
        word=STATUS_WORDS[word],
        since=belief.since,
        outcome=OUTCOME_WORDS[outcome] if outcome is not None else "not probed yet",
        detail=belief.result.detail,
        probed_at=belief.light_started_at if light else belief.last_started_at,
        serves=any(one.purpose == belief.purpose and one.active == provider.ref for one in status.purposes),
        reasons=tuple(reasons),
        latency=seconds(belief.result.latency_seconds),
        ttft=seconds(belief.result.ttft_seconds),
        model=belief.result.model or "",
        uptimes=target_spans(drawn, target),
        bars=target_bars(drawn, target),
        chart=target_chart(drawn, target),
    )


def view_facts(status: Status, told: Told) -> tuple[Fact, ...]:
    """What a provider told of itself."""
    found: list[Fact] = []
    credit = told.credit_remaining_usd
    if credit is not None:
        tone = Tone.BAD if credit <= 0 else Tone.WARN if credit < LOW_CREDIT_USD else Tone.OK
        found.append(Fact(name="Credit left", text=f"{credit:,.2f} USD", tone=tone))
    for name, left in sorted((told.ratelimit_remaining or {}).items()):
        found.append(Fact(name=f"Limit left, {name}", text=f"{left:,.0f}"))
    ends = told.tls_expires_at
    if ends is not None:
        left_of_it = ends - status.as_of
        tone = Tone.BAD if left_of_it < timedelta(0) else Tone.OK
        tone = Tone.WARN if tone is Tone.OK and left_of_it < CERTIFICATE_SOON else tone
        found.append(Fact(name="Certificate ends", text="", at=ends, tone=tone))
    return tuple(found)
