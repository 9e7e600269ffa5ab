"""What happened to a purpose over a span of time: who served, when nobody did, and how much of it was bad."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from monitor.domain.outcome import ProbeResult, ResultId, Vote
from monitor.domain.provider import ProviderRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One move.

    Attributes:
        at: when it was decided.
        rule: by which rule; `operator` for one that was not ours.
        left: who served before, or None.
        onto: who serves from then on, or None.
        reason: in plain words.
        evidence: the results it rests on.
        failure_began_at: the start of the first failure behind it, or None.
    """

    at: datetime
    rule: str
    left: ProviderRef | None
    onto: ProviderRef | None
    reason: str = ""
    evidence: tuple[ResultId, ...] = ()
    failure_began_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranding:
    """A span in which nobody served.

    Attributes:
        since: its first instant.
        until: its end; None while it lasts.
        reason: why, in plain words.
        evidence: the results it rests on.
    """

    since: datetime
    until: datetime | None = None
    reason: str = ""
    evidence: tuple[ResultId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChange:
    """A belief that one result changed.

    Attributes:
        at: the end of the result.
        ref: whose.
        before: `up`, `down`, `unknown`, or `blocked: auth`.
        after: the same afterwards.
        result: the one that did it.
    """

    at: datetime
    ref: ProviderRef
    before: str
    after: str
    result: ResultId


@dataclass(slots=True, kw_only=True)
class Timeline:
    """One course of events.

    Attributes:
        begin: from when on it is known.
        until: where it ends.
        first: who served at the beginning.
        turns: every move, oldest first.
        strandings: spans in which nobody served, oldest first.
        changes: of beliefs, oldest first.
    """

    begin: datetime
    until: datetime
    first: ProviderRef | None = None
    turns: list[Turn] = field(default_factory=list)
    strandings: list[Stranding] = field(default_factory=list)
    changes: list[HealthChange] = field(default_factory=list)

    def serving(self, since: datetime) -> list[tuple[datetime, datetime, ProviderRef | None]]:
        """Who served from when to when, within `since` and the end."""
        marks = [(self.begin, self.first), *((turn.at, turn.onto) for turn in self.turns)]
        ends = [at for at, _ in marks[1:]] + [self.until]
        spans = [
            (max(begin, since), end, ref)
            for (begin, ref), end in zip(marks, ends, strict=True)
            if end > since
        ]
        return [span for span in spans if span[0] < span[1]]

    def stranded(self, since: datetime) -> timedelta:
        """How long nobody served, within `since` and the end."""
        return _total((max(one.since, since), one.until or self.until) for one in self.strandings)

    def on_sick(self, since: datetime, sick: Sequence["Sickness"]) -> timedelta:
        """How long one served that did not answer as it should, by what its results show."""
        total = timedelta(0)
        for begin, end, ref in self.serving(since):
            total += _total((max(begin, one.since), min(end, one.until)) for one in sick if one.ref == ref)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Sickness:
    """A span in which a provider did not answer as it should.

    Attributes:
        ref: who.
        since: the start of the first result that shows it.
        until: the end of the result that shows the contrary, or of what is known.
    """

    ref: ProviderRef
    since: datetime
    until: datetime


def sicknesses(results: Iterable[ProbeResult], until: datetime) -> list[Sickness]:
    """What results show of their providers, a result without a verdict showing nothing.

    Args:
        results: deep ones, in the order of their ends.
        until: the end of what is known.
    """
    open_since: dict[ProviderRef, datetime] = {}
    found: list[Sickness] = []
    for result in results:
        ref, vote = result.target.provider, result.vote
        if vote is Vote.PASS:
            since = open_since.pop(ref, None)
            if since is not None:
                found.append(Sickness(ref=ref, since=since, until=result.ended_at))
        elif vote is not Vote.NONE:
            open_since.setdefault(ref, result.started_at)
    found += [Sickness(ref=ref, since=since, until=until) for ref, since in open_since.items()]
    return sorted(found, key=lambda one: (one.since, one.ref))


def _total(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    return sum((end - begin for begin, end in spans if end > begin), timedelta(0))
