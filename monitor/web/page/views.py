"""What the templates are given: everything decided and in words, nothing left to look up."""

from dataclasses import dataclass
from datetime import datetime

from monitor.web.page.charts import Bars, Chart
from monitor.web.page.words import Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A provider by its name.

    Attributes:
        ref: `ai_server:1`.
        name: the operator's, or what stands for it when the row was deleted.
        href: its own page; None when there is none.
    """

    ref: str
    name: str
    href: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The sentence at the top.

    Attributes:
        tone: how it looks.
        text: answers what is broken, who serves and whether anything is asked; where it has an age, markup.
        more: a second, smaller sentence; empty for none.
        title: short, for the browser's tab.
        news: changes when the sentence says something new, and not with the ages in it.
    """

    tone: Tone
    text: str
    more: str
    title: str
    news: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Something that is asked of the reader.

    Attributes:
        urgent: now, even at night; else when there is time.
        about: whom it concerns.
        text: what is the matter.
        mend: what to do.
        command: to type, or empty.
        href: where more of it stands, or None.
    """

    urgent: bool
    about: str
    text: str
    mend: str = ""
    command: str = ""
    href: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """An uptime over a span: `24 h`, `100 %`, and of how much of it that is told where not of all."""

    name: str
    share: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateView:
    """How a candidate stands.

    Attributes:
        obstacle: why nothing may move onto it; empty when it may.
        outcome: what its last probe showed, when that was no usable answer.
    """

    named: Named
    place: int | None
    serves: bool
    ready: bool
    tone: Tone
    word: str
    obstacle: str
    outcome: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeView:
    """Who serves a purpose, since when, why, and who is next.

    Attributes:
        left: who served before, when one of the rules brought the one that serves.
        why: how it came to serve, in words.
        evidence: the reason of the move, as it was recorded.
        next: who would take over; None when nobody would.
        next_word: the same as a sentence.
        notes: pins, pauses, holds.
        moves_when: what would have to happen for the next move.
        by_rule: whether one of the rules brought it, not an operator.
    """

    name: str
    tone: Tone
    word: str
    active: Named | None
    left: Named | None
    since: datetime | None
    why: str
    evidence: str
    stranded_since: datetime | None
    next: Named | None
    next_word: str
    notes: tuple[str, ...]
    moves_when: tuple[str, ...]
    candidates: tuple[CandidateView, ...]
    uptimes: tuple[Span, ...]
    bars: Bars | None
    paused: bool
    pinned: bool
    held: bool
    by_rule: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """What is known of a provider in one purpose; None of what is not."""

    purpose: str | None
    tone: Tone
    word: str
    since: datetime | None
    outcome: str
    detail: str
    probed_at: datetime | None
    serves: bool
    reasons: tuple[str, ...]
    latency: str
    ttft: str
    model: str
    uptimes: tuple[Span, ...]
    bars: Bars | None
    chart: Chart | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that a provider told of itself: credit, a limit, its certificate's end."""

    name: str
    text: str
    at: datetime | None = None
    tone: Tone = Tone.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderView:
    """One provider."""

    named: Named
    type: str
    id: int
    kind: str
    enabled: bool
    tone: Tone
    word: str
    serves: tuple[str, ...]
    maintenance: str
    in_maintenance: bool
    targets: tuple[TargetView, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeView:
    """One result of a provider."""

    at: datetime
    purpose: str
    kind: str
    tone: Tone
    outcome: str
    latency: str
    ttft: str
    status: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPageView:
    """A provider's own page."""

    as_of: datetime
    provider: ProviderView
    probes: tuple[ProbeView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceView:
    """One result that a move rests on."""

    at: datetime | None
    who: str
    outcome: str
    status: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One thing that happened."""

    at: datetime
    until: datetime | None
    purpose: str
    what: str
    word: str
    tone: Tone
    left: str
    onto: str
    text: str
    took: str
    evidence: tuple[EvidenceView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonView:
    """One daemon."""

    role: str
    place: str
    version: str
    started_at: datetime
    silent: str
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Which providers are shown, of how many.

    Attributes:
        query: what is searched for in names.
        state: `all`, `unwell`, `serving`.
        total: all providers.
        unwell: how many of these are not well.
        found: how many fit the filter.
        page: which page of them, from 1.
        pages: how many there are.
        previous: the query string of the page before, or None.
        next: likewise.
    """

    query: str
    state: str
    total: int
    unwell: int
    found: int
    page: int
    pages: int
    previous: str | None
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageView:
    """The page.

    Attributes:
        urgent: what is asked now.
        later: what is asked when there is time.
        events_since: how far back `events` reaches.
        state: `configured`, `unserved` (providers but no purpose) or `empty`.
    """

    as_of: datetime
    headline: Headline
    urgent: tuple[Ask, ...]
    later: tuple[Ask, ...]
    purposes: tuple[PurposeView, ...]
    providers: tuple[ProviderView, ...]
    shelf: Shelf
    events: tuple[EventView, ...]
    events_since: datetime
    daemons: tuple[DaemonView, ...]
    state: str
