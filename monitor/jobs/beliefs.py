"""What the deciding daemon has in its head: targets, healths, purposes. The jobs read and write it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from monitor.domain.application_status import ApplicationStatus, application_status, warnings, worst
from monitor.domain.budget import day_start
from monitor.domain.configuration import Configuration
from monitor.domain.eligibility import DEMOTING, Block, blocks, is_eligible
from monitor.domain.embedding import same_space
from monitor.domain.health import Health, expire
from monitor.domain.journal import pin_holds, promotion_holds
from monitor.domain.maintenance import Maintenance
from monitor.domain.outcome import Outcome, ProbeResult
from monitor.domain.policy import Policy
from monitor.domain.preference import ordered
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.schedule import Role
from monitor.domain.situation import Candidate, Situation, Switch
from monitor.domain.target import ProbeKind, Target, TargetId
from monitor.storage.healths import StoredHealth
from monitor.storage.maintenance import MaintenanceRow
from monitor.storage.purposes import PurposeState

TICK = timedelta(microseconds=1)


@dataclass(slots=True)
class Spending:
    """What probing has cost since midnight UTC.

    Attributes:
        day: that midnight.
        spent_usd: by provider.
        last_usd: what the last probe of a target cost.
    """

    day: datetime
    spent_usd: dict[ProviderRef, float] = field(default_factory=dict)
    last_usd: dict[TargetId, float] = field(default_factory=dict)

    def add(self, result: ProbeResult) -> None:
        """Count one result."""
        day = day_start(result.ended_at)
        if day > self.day:
            self.day = day
            self.spent_usd.clear()
        if result.cost_usd is not None:
            ref = result.target.provider
            self.spent_usd[ref] = self.spent_usd.get(ref, 0.0) + result.cost_usd
            self.last_usd[result.target] = result.cost_usd

    def round_usd(self, ref: ProviderRef) -> float:
        """What one probe of each target of a provider costs, as far as known."""
        return sum(cost for target, cost in self.last_usd.items() if target.provider == ref)


class Beliefs:
    """The state of a daemon that decides; read and written on one event loop, never across an await.

    Attributes:
        targets: what is probed now.
        healths: what we believe of it.
        last_outcomes: what its last deep probe showed, also when that says nothing of its health.
        intervals: its deep interval now.
        configuration: the rows as last read.
        purposes: who serves, as last seen or written.
        switches: automatic moves of the last hours.
        gone_since: when a wanted provider was seen missing.
        maintenance: whom an operator took out of service, and when.
        embedders: the space that a provider's row names and its fingerprint; kept when the row is deleted.
        vectors: of embedders, by provider and fingerprint, from their first good probe.
        spending: what probing costs.
        begun: how often a belief was begun anew by something else than a result.
        instants: the last instant of each purpose's results and judgements.
        deciding_since: when this daemon began to decide, or found its records again.
    """

    def __init__(self, policy_for: Callable[[Purpose | None], Policy], now: datetime) -> None:
        self.policy_for = policy_for
        self.targets: dict[TargetId, Target] = {}
        self.healths: dict[TargetId, Health] = {}
        self.last_outcomes: dict[TargetId, Outcome] = {}
        self.intervals: dict[TargetId, timedelta] = {}
        self.configuration: Configuration | None = None
        self.purposes: dict[Purpose, PurposeState] = {}
        self.switches: dict[Purpose, tuple[Switch, ...]] = {}
        self.gone_since: dict[ProviderRef, datetime] = {}
        self.maintenance: dict[ProviderRef, MaintenanceRow] = {}
        self.embedders: dict[ProviderRef, tuple[str | None, str]] = {}
        self.vectors: dict[tuple[ProviderRef, str], tuple[float, ...]] = {}
        self.spending = Spending(day=day_start(now))
        self.begun: dict[TargetId, int] = {}
        self.instants: dict[Purpose, datetime] = {}
        self.deciding_since = now

    @property
    def names(self) -> dict[ProviderRef, str]:
        """The operator's names."""
        return dict(self.configuration.names) if self.configuration else {}

    def preference(self, purpose: Purpose) -> tuple[ProviderRef, ...]:
        """The operator's order for a purpose."""
        return self.configuration.preferences.get(purpose, ()) if self.configuration else ()

    def active(self, purpose: Purpose) -> ProviderRef | None:
        """Who serves a purpose."""
        state = self.purposes.get(purpose)
        return state.seen.active if state and state.seen else None

    def role(self, target: TargetId) -> Role:
        """What a target does for its purpose."""
        if target.purpose is None:
            return Role.STANDBY
        order, active = self.preference(target.purpose), self.active(target.purpose)
        wanted = target.provider == active or target.provider in order
        state = self.purposes.get(target.purpose)
        if wanted and state is not None and state.stranded_since is not None:
            return Role.STRANDED
        if target.provider == active:
            return Role.SERVING
        if active in order and target.provider in order[: order.index(active)]:
            return Role.RETURNING
        return Role.STANDBY

    def instant(self, purpose: Purpose, at: datetime) -> datetime:
        """`at`, or the next instant after all that the purpose has seen: everything stands in order."""
        last = self.instants.get(purpose)
        if last is not None and at <= last:
            at = last + TICK
        self.instants[purpose] = at
        return at

    def in_order(self, result: ProbeResult) -> ProbeResult:
        """A deep result whose end is its place in that order: two may end at once, one may be taken late."""
        if result.kind is not ProbeKind.DEEP or result.target.purpose is None:
            return result
        at = self.instant(result.target.purpose, result.ended_at)
        return result if at == result.ended_at else replace(result, ended_at=at)

    def begin(self, id_: TargetId, health: Health) -> None:
        """Begin a belief anew, by something else than a result."""
        self.healths[id_] = health
        self.begun[id_] = self.begun.get(id_, 0) + 1

    def give_up(self, id_: TargetId, now: datetime) -> bool:
        """Give up a belief if it has become stale; whether there was anything to give up."""
        health = self.healths[id_]
        expired = expire(health, now)
        if expired is health or replace(expired, stale_at=health.stale_at) == health:
            return False
        self.begin(id_, expired)
        return True

    def expire(self, now: datetime) -> list[TargetId]:
        """Give up beliefs that have become stale; returns those that changed."""
        return [id_ for id_ in self.healths if self.give_up(id_, now)]

    def candidates(self, purpose: Purpose) -> tuple[TargetId, ...]:
        """The targets that are probed of those whom the purpose may be served by."""
        refs = ordered((self.active(purpose), *self.preference(purpose)))
        ids = (TargetId(provider=ref, purpose=purpose) for ref in refs)
        return tuple(id_ for id_ in ids if id_ in self.healths)

    def situation(
        self, purpose: Purpose, now: datetime, healths: Mapping[ProviderRef, Health] | None = None
    ) -> Situation | None:
        """What there is to decide on, or None for a purpose that nobody serves.

        Args:
            purpose: whose.
            now: UTC.
            healths: these instead of our own, for a second look at what is stored.
        """
        state = self.purposes.get(purpose)
        if state is None or state.seen is None:
            return None
        order = self.preference(purpose)
        refs = ordered((state.seen.active, *order))
        return Situation(
            purpose=purpose,
            active=state.seen.active,
            preference=order,
            candidates={ref: self._candidate(ref, purpose, order, now, healths) for ref in refs},
            deciding_since=self.deciding_since,
            chosen_at=state.chosen_at,
            ordered_at=state.ordered_at,
            switches=self.switches.get(purpose, ()),
            stranded_since=state.stranded_since,
            paused=state.paused,
            pinned=pin_holds(state.pinned, state.pinned_until, now),
            pinned_until=state.pinned_until,
            held=promotion_holds(state.held, state.held_until, now),
            held_until=state.held_until,
        )

    def stored(self, id_: TargetId, now: datetime) -> StoredHealth:
        """A belief as it is kept."""
        health, policy = self.healths[id_], self.policy_for(id_.purpose)
        found = self.blocks(id_, now)
        return StoredHealth(
            target=id_,
            health=health,
            eligible=is_eligible(health, now, policy) and not self.in_maintenance(id_.provider, now),
            warnings=tuple(sorted(warnings(health, now, policy))),
            block=",".join(sorted(found)) or None,
            status=self.status(id_, now),
            last_outcome=self.last_outcomes.get(id_) or (health.last.outcome if health.last else None),
        )

    def status(self, id_: TargetId, now: datetime) -> ApplicationStatus:
        """The application's word for a target."""
        gone = frozenset({Block.GONE}) if id_.provider in self.gone_since else frozenset[Block]()
        extra = gone | self._away(id_.provider, now)
        return application_status(self.healths[id_], extra, now, self.policy_for(id_.purpose))

    def provider_status(self, ref: ProviderRef, now: datetime) -> ApplicationStatus:
        """The application's word for a provider: the worst of its targets."""
        return worst(tuple(self.status(id_, now) for id_ in self.healths if id_.provider == ref))

    def purpose_status(self, purpose: Purpose, now: datetime) -> ApplicationStatus:
        """The application's word for a purpose: that of the one that serves it."""
        active = self.active(purpose)
        id_ = TargetId(provider=active, purpose=purpose) if active else None
        return self.status(id_, now) if id_ in self.healths else ApplicationStatus.UNKNOWN

    def blocks(self, id_: TargetId, now: datetime) -> frozenset[Block]:
        """What keeps a target from serving or from being moved onto."""
        return blocks(self.healths[id_], now, self.policy_for(id_.purpose)) | self._away(id_.provider, now)

    def in_maintenance(self, ref: ProviderRef, now: datetime) -> bool:
        """Whether an operator has taken a provider out of service."""
        row = self.maintenance.get(ref)
        return row is not None and row.span.holds(now)

    def _away(self, ref: ProviderRef, now: datetime) -> frozenset[Block]:
        return frozenset({Block.MAINTENANCE} if self.in_maintenance(ref, now) else ())

    def health_word(self, id_: TargetId, now: datetime) -> str:
        """The state for metrics: up, down, unknown or blocked."""
        health = self.healths[id_]
        if self.blocks(id_, now) & DEMOTING:
            return "blocked"
        return str(health.state)

    def moved(self, purpose: Purpose, state: PurposeState, switch: Switch) -> None:
        """Take note of a move that has been committed."""
        self.purposes[purpose] = state
        self.switches[purpose] = (*self.switches.get(purpose, ()), switch)[-50:]

    def strand(self, purpose: Purpose, since: datetime | None) -> None:
        """Take note that nobody serves, or that somebody does again."""
        self.purposes[purpose] = replace(self.purposes[purpose], stranded_since=since)

    def _candidate(
        self,
        ref: ProviderRef,
        purpose: Purpose,
        order: tuple[ProviderRef, ...],
        now: datetime,
        healths: Mapping[ProviderRef, Health] | None,
    ) -> Candidate:
        own = self.healths.get(TargetId(provider=ref, purpose=purpose))
        health = own if healths is None else healths.get(ref)
        return Candidate(
            ref=ref,
            health=expire(health, now) if health else None,
            gone_since=self.gone_since.get(ref),
            maintenance=self._maintenance(ref, purpose),
            same_space=self._same_space(order[0], ref) if purpose is Purpose.EMBEDDINGS and order else True,
        )

    def _maintenance(self, ref: ProviderRef, purpose: Purpose) -> Maintenance | None:
        row, state = self.maintenance.get(ref), self.purposes.get(purpose)
        chosen_at = state.chosen_at if state is not None else None
        if row is None or state is None or chosen_at is None or row.span.since > chosen_at:
            return row.span if row is not None else None
        # The order of acts says which came last; the clocks by which they were noted need not.
        later = row.act > state.chosen_act
        return replace(row.span, since=chosen_at + TICK) if later else row.span

    def _same_space(self, preferred: ProviderRef, other: ProviderRef) -> bool | None:
        if preferred == other:
            return True
        one, two = self.embedders.get(preferred), self.embedders.get(other)
        if one is None or two is None:
            return None
        return same_space(
            one[0], two[0], self.vectors.get((preferred, one[1])), self.vectors.get((other, two[1]))
        )
