"""Keep what decisions rest on besides results, so that everything can be decided again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from monitor.domain.journal import Entry, EntryKind, Facts, standings_of, told
from monitor.domain.policy import policy_record
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.reports import Hearing
from monitor.domain.situation import Action, Decision, Situation
from monitor.domain.target import TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.store_watch import StoreWatch
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.journal import add_entries
from monitor.storage.leader import LeaderSession

FLUSH_SECONDS = 0.5
MOST_PENDING = 10_000


@dataclass(frozen=True, slots=True)
class _Told:
    """What the journal knows: facts, which beginning of each belief, and the day of the last whole entry."""

    facts: Facts
    begun: dict[ProviderRef, int | None]
    day: date


class Journal:
    """Notes, at the moment of each judgement, what has changed since the last; writes it soon afterwards.

    Nothing is written for a judgement that rests on nothing new.
    """

    def __init__(self, beliefs: Beliefs, instance: str, watch: StoreWatch) -> None:
        self._beliefs = beliefs
        self._instance = instance
        self._watch = watch
        self._told: dict[Purpose, _Told] = {}
        self._pending: list[tuple[Purpose, Entry]] = []
        self._arrived = asyncio.Event()

    def begin(self) -> None:
        """A reign begins: whatever was told is told anew, purpose by purpose."""
        self._told.clear()

    def note(self, purpose: Purpose, situation: Situation | None, at: datetime) -> None:
        """Note what a judgement is about to rest on.

        Args:
            purpose: whose.
            situation: all of it; None when nobody serves the purpose.
            at: the judgement's instant.
        """
        facts, begun = self._facts(purpose, situation), self._begun(purpose, situation)
        last = self._told.get(purpose)
        if last is not None and last.facts == facts and last.begun == begun and last.day == at.date():
            return
        self._told[purpose] = _Told(facts, begun, at.date())
        if last is not None and (last.facts, last.begun) != (facts, begun):
            change = self._telling(facts, situation, begun, last.begun)
            self._add(purpose, Entry(at=at, kind=EntryKind.CHANGE, facts=self._chosen(purpose, last, change)))
        if last is None or last.day != at.date():
            kind = EntryKind.REIGN if last is None else EntryKind.DAY
            whole = self._whole(purpose, self._telling(facts, situation, begun, {}))
            self._add(purpose, Entry(at=at, kind=kind, facts=replace(whole, chosen=last is None)))

    def heard(self, id_: TargetId, hearing: Hearing, at: datetime) -> None:
        """Note what applications reported of a target, before the judgement that rests on it."""
        if id_.purpose is not None:
            self._add(id_.purpose, Entry(at=at, kind=EntryKind.REPORTED, hearing=hearing))

    def settled(
        self,
        purpose: Purpose,
        decision: Decision,
        decided_at: datetime,
        at: datetime,
        *,
        done: bool,
        again_at: datetime | None,
        reason: str = "",
    ) -> None:
        """Note that a decision has been recorded, or could not be.

        Args:
            purpose: whose.
            decision: what was decided.
            decided_at: when.
            at: the instant from which on results are judged again.
            done: whether it was recorded.
            again_at: when it is decided again if not.
            reason: why it was not.
        """
        entry = Entry(
            at=at, kind=EntryKind.SETTLED, decided_at=decided_at, done=done, again_at=again_at, reason=reason
        )
        self._add(purpose, entry)
        last = self._told.get(purpose)
        if not done or last is None:
            return
        facts = last.facts
        match decision.action:
            case Action.MOVE:
                facts = replace(facts, active=decision.to, stranded_since=None)
            case Action.STRAND:
                facts = replace(facts, stranded_since=decided_at)
            case Action.RELIEVE:
                facts = replace(facts, stranded_since=None)
            case Action.KEEP | Action.QUALIFY:
                raise AssertionError("nothing to settle")
        self._told[purpose] = replace(last, facts=facts)

    def away(self, now: datetime) -> None:
        """Note that nothing is decided from here on."""
        for purpose in self._told:
            self._add(purpose, Entry(at=self._beliefs.instant(purpose, now), kind=EntryKind.AWAY))

    def take(self) -> list[tuple[Purpose, Entry]]:
        """What is not written yet, in its order; whoever takes it writes it or gives it back."""
        self._arrived.clear()
        taken, self._pending = self._pending, []
        return taken

    def give_back(self, entries: Sequence[tuple[Purpose, Entry]]) -> None:
        """Entries that could not be written."""
        self._pending = [*entries, *self._pending]
        if self._pending:
            self._arrived.set()

    async def run(self, session: LeaderSession) -> None:
        """Write until the session ends."""
        while not session.lost.is_set():
            await self._arrived.wait()
            try:
                await self.flush(session)
            except STORE_ERRORS as error:
                self._watch.failed(error, "journal")
                await asyncio.sleep(1)
            await asyncio.sleep(FLUSH_SECONDS)

    async def flush(self, session: LeaderSession) -> None:
        """Write what is pending.

        Raises:
            STORE_ERRORS: the database did not take it; it is pending again.
        """
        async with session.use() as connection:
            entries = self.take()
            try:
                async with connection.transaction():
                    await add_entries(connection, entries, self._instance)
            except BaseException:
                self.give_back(entries)
                raise

    def _add(self, purpose: Purpose, entry: Entry) -> None:
        self._pending.append((purpose, entry))
        # Whoever is away for so long begins with a whole entry; what is lost here is missed by nobody.
        del self._pending[:-MOST_PENDING]
        self._arrived.set()

    def _facts(self, purpose: Purpose, situation: Situation | None) -> Facts:
        state = self._beliefs.purposes.get(purpose)
        if state is None or situation is None:
            return Facts(active=None, deciding_since=self._beliefs.deciding_since)
        return Facts(
            active=situation.active,
            preference=situation.preference,
            standings=standings_of(situation),
            deciding_since=situation.deciding_since,
            chosen_at=situation.chosen_at,
            ordered_at=situation.ordered_at,
            act=state.act,
            paused=situation.paused,
            pinned=state.pinned,
            pinned_until=state.pinned_until,
            held=state.held,
            held_until=state.held_until,
            stranded_since=situation.stranded_since,
        )

    def _chosen(self, purpose: Purpose, last: _Told, change: Facts) -> Facts:
        if last.facts.active == change.active:
            return change
        state = self._beliefs.purposes.get(purpose)
        rule, since = (state.rule, state.since) if state is not None and state.seen else (None, None)
        return replace(change, chosen=True, rule=rule, since=since)

    def _telling(
        self,
        facts: Facts,
        situation: Situation | None,
        begun: dict[ProviderRef, int | None],
        known: dict[ProviderRef, int | None],
    ) -> Facts:
        """The facts with the beliefs that have begun since."""
        if situation is None:
            return facts
        standings = tuple(
            told(one, situation.candidates[one.ref].health)
            if one.ref not in known or known[one.ref] != begun[one.ref]
            else one
            for one in facts.standings
        )
        return replace(facts, standings=standings)

    def _whole(self, purpose: Purpose, facts: Facts) -> Facts:
        state = self._beliefs.purposes.get(purpose)
        return replace(
            facts,
            since=state.since if state else None,
            rule=state.rule if state else None,
            switches=self._beliefs.switches.get(purpose, ()),
            policy=policy_record(self._beliefs.policy_for(purpose)),
        )

    def _begun(self, purpose: Purpose, situation: Situation | None) -> dict[ProviderRef, int | None]:
        refs = situation.candidates if situation is not None else ()
        found: dict[ProviderRef, int | None] = {}
        for ref in refs:
            id_ = TargetId(provider=ref, purpose=purpose)
            found[ref] = self._beliefs.begun.get(id_, 0) if id_ in self._beliefs.healths else None
        return found
