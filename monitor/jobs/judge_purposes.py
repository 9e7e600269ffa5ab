"""Decide for each purpose whenever a result, an edit or a deadline may change the answer, and act on it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from monitor.domain.failover import decide, fallback_after
from monitor.domain.health import Health
from monitor.domain.journal import stranding
from monitor.domain.preference import Pointers
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.situation import Action, Decision, Situation, Switch
from monitor.domain.target import TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.export_purpose import export_purpose
from monitor.jobs.journal import Journal
from monitor.jobs.pending import Pending
from monitor.jobs.spool_results import tell_refused
from monitor.metrics import Metrics
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.leader import LeaderSession
from monitor.storage.switch import Move, SwitchAborted, commit_move, commit_stranding

log = structlog.get_logger()

RETRY = timedelta(seconds=2)
SWEEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Act:
    """A decision that has to be written down to be made."""

    situation: Situation
    decision: Decision
    at: datetime
    seen: Pointers | None
    act: int


class JudgePurposes:
    """Decides on each result and at each deadline, at once; what has to be recorded follows in order.

    The instant of a decision is the result's end or the deadline, never the moment when we got round to it:
    the same results lead to the same decisions, whenever they are looked at again.

    Attributes:
        decisions: the last one of each purpose, for whoever asks why.
    """

    def __init__(
        self,
        *,
        beliefs: Beliefs,
        pending: Pending,
        journal: Journal,
        metrics: Metrics,
        now: Callable[[], datetime],
        probe_now: Callable[[TargetId], None],
        reschedule: Callable[[TargetId], None],
        resync: Callable[[], None],
        instance: str,
    ) -> None:
        self._beliefs = beliefs
        self._pending = pending
        self._journal = journal
        self._metrics = metrics
        self._now = now
        self._probe_now = probe_now
        self._reschedule = reschedule
        self._resync = resync
        self._instance = instance
        self._records = False
        self._runs = False
        self._acts: dict[Purpose, _Act] = {}
        self._deadlines: dict[Purpose, datetime] = {}
        self._asked: dict[TargetId, datetime] = {}
        self._wake = asyncio.Event()
        self.decisions: dict[Purpose, Decision] = {}

    def judge(self, purpose: Purpose | None, at: datetime) -> None:
        """Decide for a purpose after one of its results; without a record there is no move, so no decision.

        Args:
            purpose: whose; None for a target without one.
            at: the result's end.
        """
        if purpose is not None:
            self._judge(purpose, at)

    def judge_due(self, purpose: Purpose | None, at: datetime) -> None:
        """Decide at a deadline that has passed before `at`, before what came afterwards is taken."""
        if purpose is None:
            return
        # A deadline may lead to the next one, as the end of a pin to that of the first moments after a start.
        while (due := self._deadlines.get(purpose)) is not None and due < at and self._may_judge(purpose):
            del self._deadlines[purpose]
            self._judge(purpose, self._beliefs.instant(purpose, due))

    def judge_all(self, at: datetime) -> None:
        """Decide for every purpose: something else than a result has changed."""
        for purpose in self._beliefs.purposes:
            self._look(purpose, at)

    def _look(self, purpose: Purpose, now: datetime) -> None:
        if self._may_judge(purpose):
            self.judge_due(purpose, now)
            self._judge(purpose, self._beliefs.instant(purpose, now))

    def _may_judge(self, purpose: Purpose) -> bool:
        return self._records and purpose not in self._acts

    def _judge(self, purpose: Purpose, at: datetime) -> None:
        if not self._may_judge(purpose):
            return
        for id_ in self._beliefs.candidates(purpose):
            self._give_up(id_, at)
        situation = self._beliefs.situation(purpose, at)
        self._journal.note(purpose, situation, at)
        if situation is None:
            return
        decision = decide(situation, at, self._beliefs.policy_for(purpose))
        self._metrics.set_last_decision(purpose, at)
        self._note(purpose, decision, situation)
        if decision.action is Action.QUALIFY:
            self._qualify(purpose, decision)
        elif decision.action is not Action.KEEP:
            self._acts[purpose] = self._decided(purpose, situation, decision, at)
            self._wake.set()

    def _decided(self, purpose: Purpose, situation: Situation, decision: Decision, at: datetime) -> _Act:
        state = self._beliefs.purposes[purpose]
        return _Act(situation, decision, at, state.seen, state.act)

    async def run(self, session: LeaderSession) -> None:
        """Record and make the moves that are decided, until the session ends."""
        loop = asyncio.get_running_loop()
        swept_at = loop.time()
        self._acts.clear()
        self._runs = True
        try:
            self.resume()
            while not session.lost.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(SWEEP_SECONDS):
                        await self._wake.wait()
                self._wake.clear()
                for purpose, act in sorted(self._acts.items(), key=lambda one: one[0]):
                    if self._acts.get(purpose) is act:
                        await self._perform(purpose, act, session)
                if loop.time() - swept_at >= SWEEP_SECONDS:
                    swept_at = loop.time()
                    self._sweep()
        finally:
            self.hold()
            self._runs = False

    def hold(self) -> None:
        """The records are out of reach: whatever is decided and not recorded is withdrawn."""
        if self._records:
            self._records = False
            self._acts.clear()
            self._deadlines.clear()
            self._journal.away(self._now())

    def resume(self) -> None:
        """The records are there (again): everything is judged anew."""
        if self._runs and not self._records:
            self._journal.begin()
            self._records = True
            self.judge_all(self._now())

    def policy_changed(self) -> None:
        """Everything is judged anew, and the journal tells by which policy from now on."""
        if self._records:
            self._journal.begin()
            self.judge_all(self._now())

    def _sweep(self) -> None:
        """What time alone changes: beliefs that are stale, and deadlines."""
        now = self._now()
        due = sorted((at, purpose) for purpose, at in self._deadlines.items() if at <= now)
        for at, purpose in due:
            if self._deadlines.get(purpose) == at and self._may_judge(purpose):
                del self._deadlines[purpose]
                self._judge(purpose, self._beliefs.instant(purpose, at))
        for id_ in list(self._beliefs.healths):
            if self._give_up(id_, now) and id_.purpose is not None:
                self._look(id_.purpose, now)

    def _give_up(self, id_: TargetId, at: datetime) -> bool:
        if not self._beliefs.give_up(id_, at):
            return False
        log.info("health_stale", target=str(id_), name=self._name(id_.provider))
        self._pending.mark(id_)
        self._reschedule(id_)
        if (target := self._beliefs.targets.get(id_)) is not None:
            word, blocks = self._beliefs.health_word(id_, at), self._beliefs.blocks(id_, at)
            self._metrics.set_health(target, word, blocks)
        if id_.purpose is not None and self._beliefs.active(id_.purpose) == id_.provider:
            export_purpose(self._beliefs, self._metrics, id_.purpose, at)
        return True

    async def _perform(self, purpose: Purpose, act: _Act, session: LeaderSession) -> None:
        again_at: datetime | None = None
        reason = ""
        failure: BaseException | None = None
        try:
            match act.decision.action:
                case Action.MOVE:
                    await self._move(purpose, act, session)
                case Action.STRAND:
                    await self._strand(purpose, act, act.at, session)
                case Action.RELIEVE:
                    await self._strand(purpose, act, None, session)
                case Action.KEEP | Action.QUALIFY:
                    raise AssertionError("nothing to record")
        except SwitchAborted as aborted:
            reason = str(aborted)
            log.warning("switch_aborted", purpose=str(purpose), to=str(act.decision.to), reason=reason)
            self._resync()
            again_at = self._now() + RETRY
        except STORE_ERRORS as error:
            reason = type(error).__name__
            log.warning("switch_impossible", purpose=str(purpose), error=reason)
            failure = error
            again_at = self._now() + RETRY
        if self._acts.get(purpose) is not act:
            # Withdrawn meanwhile: whatever became of it, the journal has ended before it.
            return
        del self._acts[purpose]
        self.settle(purpose, act.decision, act.at, again_at=again_at, reason=reason)
        if failure is not None:
            self._pending.watch.failed(failure, "switch")

    def settle(
        self,
        purpose: Purpose,
        decision: Decision,
        decided_at: datetime,
        *,
        again_at: datetime | None = None,
        reason: str = "",
    ) -> None:
        """Go on judging after a decision has been recorded, or could not be and is made again later."""
        at = self._beliefs.instant(purpose, self._now())
        self._journal.settled(
            purpose, decision, decided_at, at, done=again_at is None, again_at=again_at, reason=reason
        )
        if again_at is not None:
            self._deadlines[purpose] = again_at
        else:
            # What came in meanwhile was not judged.
            self._judge(purpose, at)

    def _qualify(self, purpose: Purpose, decision: Decision) -> None:
        if decision.to is None:
            return
        target = TargetId(provider=decision.to, purpose=purpose)
        now, asked = self._now(), self._asked.get(target)
        health = self._beliefs.healths.get(target)
        newest = health.last_started_at if health else None
        # Asked once, until that probe has begun and come back, or has not for long.
        patience = self._beliefs.policy_for(purpose).qualification_retry
        if asked is None or (newest is not None and newest > asked) or now - asked > patience:
            log.info("qualifying", purpose=str(purpose), target=str(target), rule=str(decision.rule))
            self._asked[target] = now
            self._probe_now(target)

    async def _move(self, purpose: Purpose, act: _Act, session: LeaderSession) -> None:
        situation, decision, now = act.situation, act.decision, act.at
        state, to = self._beliefs.purposes[purpose], decision.to
        if state.seen is None or to is None:
            raise SwitchAborted("nobody is named to serve the purpose any more")
        order = self._beliefs.preference(purpose)
        if (state.seen, state.act, order) != (act.seen, act.act, situation.preference):
            raise SwitchAborted("an operator chose or acted meanwhile")
        policy = self._beliefs.policy_for(purpose)
        fallback = fallback_after(situation, to, now, policy)
        move = Move(
            purpose=purpose,
            decision=decision,
            decided_at=now,
            seen=state.seen,
            generation=state.generation,
            act=state.act,
            fallback=fallback,
            policy=policy,
            names=self._beliefs.names,
            instance=self._instance,
        )

        def again(stored: Mapping[ProviderRef, Health]) -> Decision:
            second = self._beliefs.situation(purpose, now, stored)
            if second is None:
                raise SwitchAborted("the purpose is no longer served")
            return decide(second, now, policy)

        async with session.use() as connection:
            self._check_still(purpose, act)
            batch, journal = self._pending.take_of(purpose), self._journal.take()
            try:
                generation, refused = await commit_move(
                    connection, move, batch.results, batch.healths, again, journal
                )
            except BaseException:
                self._pending.give_back(batch)
                self._journal.give_back(journal)
                raise
            self._pending.stored(batch)
            left = state.seen.active
            self._beliefs.moved(
                purpose,
                replace(
                    state,
                    generation=generation,
                    seen=Pointers(active=to, fallback=fallback),
                    since=now,
                    rule=str(decision.rule),
                    stranded_since=None,
                ),
                Switch(at=now, left=left, onto=to),
            )
        tell_refused(refused, self._metrics)
        self._moved(purpose, decision, left, to, generation)

    def _check_still(self, purpose: Purpose, act: _Act) -> None:
        if self._acts.get(purpose) is not act:
            raise SwitchAborted("the records were out of reach meanwhile")
        if self._pending.behind:
            raise SwitchAborted("what it rests on has to be stored first")

    def _moved(
        self, purpose: Purpose, decision: Decision, left: ProviderRef, to: ProviderRef, generation: int
    ) -> None:
        began = decision.failure_began_at
        took = (self._now() - began).total_seconds() if began is not None else None
        log.warning(
            "active_provider_changed",
            purpose=str(purpose),
            rule=str(decision.rule),
            left=f"{left} ({self._name(left)})",
            to=f"{to} ({self._name(to)})",
            reason=decision.reason,
            generation=generation,
            seconds_since_failure=round(took, 1) if took is not None else None,
        )
        self._metrics.count_transition(purpose, str(decision.rule), took)
        self._changed(purpose)

    async def _strand(
        self, purpose: Purpose, act: _Act, since: datetime | None, session: LeaderSession
    ) -> None:
        decision = act.decision
        entry = stranding(decision, act.at, since)
        async with session.use() as connection:
            self._check_still(purpose, act)
            batch, journal = self._pending.take_of(purpose), self._journal.take()
            entries = [*journal, (purpose, entry)]
            try:
                refused = await commit_stranding(
                    connection, purpose, since, act.act, batch.results, batch.healths, entries, self._instance
                )
            except BaseException:
                self._pending.give_back(batch)
                self._journal.give_back(journal)
                raise
            self._pending.stored(batch)
            self._beliefs.strand(purpose, since)
        tell_refused(refused, self._metrics)
        event = "purpose_stranded" if since else "purpose_relieved"
        log.warning(event, purpose=str(purpose), reason=decision.reason)
        self._changed(purpose)

    def _changed(self, purpose: Purpose) -> None:
        export_purpose(self._beliefs, self._metrics, purpose, self._now())
        for id_ in self._beliefs.targets:
            if id_.purpose is purpose:
                self._reschedule(id_)

    def _note(self, purpose: Purpose, decision: Decision, situation: Situation) -> None:
        before = self.decisions.get(purpose)
        self.decisions[purpose] = decision
        if before is None or before.rule is not decision.rule:
            log.debug("rule", purpose=str(purpose), rule=str(decision.rule), reason=decision.reason)
        if decision.alarm and (before is None or not before.alarm):
            log.error("pinned_one_unfit", purpose=str(purpose), reason=decision.reason)
        recent = len(situation.switches)
        if decision.action is Action.MOVE and recent >= self._beliefs.policy_for(purpose).switch_limit:
            log.error("switching_often", purpose=str(purpose), switches=recent)
        if decision.wake_at is None:
            self._deadlines.pop(purpose, None)
        else:
            self._deadlines[purpose] = decision.wake_at

    def _name(self, ref: ProviderRef) -> str:
        return self._beliefs.names.get(ref, "deleted")
