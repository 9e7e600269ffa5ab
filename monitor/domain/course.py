"""A purpose as it stands at one instant of a replay: results, journal entries and decisions change it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from monitor.domain.eligibility import DEMOTING, blocks
from monitor.domain.health import Health
from monitor.domain.journal import WHOLE, Entry, EntryKind, Facts, Standing, pin_holds, promotion_holds, told
from monitor.domain.observe import observe
from monitor.domain.outcome import ProbeResult, ResultId
from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.reports import Hearing, hear, heard
from monitor.domain.situation import Action, Candidate, Decision, Situation, Switch
from monitor.domain.timeline import HealthChange, Stranding, Timeline, Turn

SWITCHES_KEPT = 50
OPERATOR = "operator"


class Course:
    """What is known of a purpose, and what has happened to it.

    Attributes:
        facts: what no result shows; None before the first entry.
        healths: what is believed of the candidates.
        timeline: what has happened.
        drift: beliefs that the results do not lead to, although the journal says so.
    """

    def __init__(self, purpose: Purpose, policy: Policy, begin: datetime, until: datetime) -> None:
        self._purpose = purpose
        self._policy = policy
        self._standings: dict[ProviderRef, Standing] = {}
        self._switches: tuple[Switch, ...] = ()
        self.facts: Facts | None = None
        self.healths: dict[ProviderRef, Health] = {}
        self.timeline = Timeline(begin=begin, until=until)
        self.drift: list[tuple[datetime, ProviderRef]] = []

    def situation(
        self, now: datetime, healths: Mapping[ProviderRef, Health] | None = None
    ) -> Situation | None:
        """What there is to decide on; None while nobody serves the purpose.

        Args:
            now: the instant.
            healths: these beliefs instead of our own.
        """
        facts = self.facts
        if facts is None or facts.active is None:
            return None
        known = self.healths if healths is None else healths
        return Situation(
            purpose=self._purpose,
            active=facts.active,
            preference=facts.preference,
            candidates={
                ref: Candidate(
                    ref=ref,
                    health=known.get(ref),
                    gone_since=one.gone_since,
                    maintenance=one.maintenance,
                    same_space=one.same_space,
                )
                for ref, one in self._standings.items()
            },
            deciding_since=facts.deciding_since,
            chosen_at=facts.chosen_at,
            ordered_at=facts.ordered_at,
            switches=self._switches,
            stranded_since=facts.stranded_since,
            paused=facts.paused,
            pinned=pin_holds(facts.pinned, facts.pinned_until, now),
            pinned_until=facts.pinned_until,
            held=promotion_holds(facts.held, facts.held_until, now),
            held_until=facts.held_until,
        )

    def observe(self, result: ProbeResult) -> bool:
        """Take a result; False when it is of another target than the one believed in."""
        ref = result.target.provider
        before = self.healths.get(ref)
        if before is None or before.fingerprint != result.fingerprint:
            return False
        after = observe(before, result, self._policy)
        self.healths[ref] = after
        self._tell(ref, before, after, result.ended_at, result.id)
        return True

    def hear(self, hearing: Hearing, at: datetime) -> bool:
        """Take what applications reported; False when it is of another target than the one believed in."""
        before = self.healths.get(hearing.ref)
        if before is None or before.fingerprint != hearing.fingerprint:
            return False
        found = heard(before, hearing, at, self._policy)
        if found is not None:
            after = self.healths[hearing.ref] = hear(before, found, at)
            self._tell(hearing.ref, before, after, at, found.probe.result_id)
        return True

    def adopt(self, entry: Entry, *, follow: bool) -> None:
        """Take over what no result shows.

        Args:
            entry: a reign, a day or a change.
            follow: what is recorded is what is; else only an operator's choice changes who serves.
        """
        facts, own = entry.facts, self.facts
        if facts is None:
            return
        recorded = own is None or (follow and entry.kind in WHOLE)
        if own is not None and follow and entry.kind is EntryKind.DAY:
            self._check(entry.at, facts)
        chosen = facts.chosen
        if own is not None and entry.kind is EntryKind.REIGN:
            # Whoever began to decide found who served: that is a choice only where an operator has chosen.
            chosen = facts.chosen_at != own.chosen_at
        if own is not None and not (
            recorded or chosen or facts.active is None or own.active is None or facts.active == own.active
        ):
            facts = replace(
                facts, active=own.active, stranded_since=own.stranded_since, since=own.since, rule=own.rule
            )
        elif own is not None and not (recorded or chosen):
            facts = replace(facts, stranded_since=own.stranded_since)
        self._take_standings(facts, entry, recorded=recorded)
        self._serve(facts, entry.at)
        if recorded:
            self._switches = facts.switches

    def act(self, decision: Decision, at: datetime) -> None:
        """Do what was decided."""
        if decision.action is Action.STRAND:
            self.strand(at, at, decision.reason, decision.evidence)
        elif decision.action is Action.RELIEVE:
            self.strand(None, at)
        elif decision.action is Action.MOVE and self.facts is not None:
            self.move(
                Turn(
                    at=at,
                    rule=str(decision.rule),
                    left=self.facts.active,
                    onto=decision.to,
                    reason=decision.reason,
                    evidence=decision.evidence,
                    failure_began_at=decision.failure_began_at,
                )
            )

    def move(self, turn: Turn) -> None:
        """Make an automatic move."""
        if self.facts is None or turn.left is None or turn.onto is None:
            return
        self.timeline.turns.append(turn)
        switch = Switch(at=turn.at, left=turn.left, onto=turn.onto)
        self._switches = (*self._switches, switch)[-SWITCHES_KEPT:]
        self.facts = replace(self.facts, active=turn.onto, since=turn.at, rule=turn.rule)
        self.strand(None, turn.at)
        wanted = {turn.onto, *self.facts.preference}
        self._standings = {ref: one for ref, one in self._standings.items() if ref in wanted}

    def strand(
        self, since: datetime | None, at: datetime, reason: str = "", evidence: tuple[ResultId, ...] = ()
    ) -> None:
        """Nobody serves since an instant, or somebody does again at `at`."""
        if self.facts is None:
            return
        self.facts = replace(self.facts, stranded_since=since)
        spans = self.timeline.strandings
        lasts = bool(spans) and spans[-1].until is None
        if since is not None and not lasts:
            spans.append(Stranding(since=since, reason=reason, evidence=evidence))
        elif since is None and lasts:
            spans[-1] = replace(spans[-1], until=at)

    def _tell(self, ref: ProviderRef, before: Health, after: Health, at: datetime, result: ResultId) -> None:
        word, other = (health_word(one, at, self._policy) for one in (before, after))
        if word != other:
            change = HealthChange(at=at, ref=ref, before=word, after=other, result=result)
            self.timeline.changes.append(change)

    def _take_standings(self, facts: Facts, entry: Entry, *, recorded: bool) -> None:
        for one in facts.standings:
            own = self.healths.get(one.ref)
            same = own is not None and one.health is not None and own.fingerprint == one.health.fingerprint
            # A whole entry tells every belief: ours goes on, unless it is of something else.
            if not one.told or (entry.kind in WHOLE and not recorded and same):
                continue
            if one.health is None:
                self.healths.pop(one.ref, None)
            else:
                self.healths[one.ref] = one.health
        known = {one.ref: one for one in facts.standings}
        active = facts.active
        if active is not None and active in self._standings:
            # Whoever serves by our own decisions need not be wanted by the record.
            known.setdefault(active, self._standings[active])
        self._standings = known
        self.healths = {ref: health for ref, health in self.healths.items() if ref in known}

    def _serve(self, facts: Facts, at: datetime) -> None:
        own = self.facts
        if own is None:
            self.timeline.first = facts.active
        elif own.active == facts.active:
            facts = replace(facts, since=facts.since or own.since, rule=facts.rule or own.rule)
        else:
            facts = replace(facts, since=facts.since or at, rule=facts.rule or OPERATOR)
            self.timeline.turns.append(
                Turn(
                    at=at,
                    rule=facts.rule or OPERATOR,
                    left=own.active,
                    onto=facts.active,
                    reason="an operator chose who serves"
                    if facts.active
                    else "the purpose's row was deleted",
                )
            )
        self.facts = facts
        self.strand(facts.stranded_since, at)

    def _check(self, at: datetime, facts: Facts) -> None:
        for one in facts.standings:
            own = told(one, self.healths.get(one.ref)).health
            if one.told and own != one.health:
                self.drift.append((at, one.ref))


def health_word(health: Health, now: datetime, policy: Policy) -> str:
    """A belief in a word or two: `up`, `down`, `unknown`, `blocked: auth`."""
    demoting = blocks(health, now, policy) & DEMOTING
    return f"blocked: {', '.join(sorted(demoting))}" if demoting else str(health.state)
