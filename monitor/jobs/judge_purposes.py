"""Decide for each purpose whenever a result, an edit or a deadline may change the answer, and act on it."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from monitor.domain.failover import decide, fallback_after
from monitor.domain.health import Health
from monitor.domain.preference import Pointers
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.situation import Action, Decision, Situation, Switch
from monitor.domain.target import TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.store_results import BATCH, Pending
from monitor.metrics import Metrics
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.leader import LeaderSession
from monitor.storage.purposes import mark_stranded
from monitor.storage.switch import Move, SwitchAborted, commit_move

log = structlog.get_logger()

RETRY = timedelta(seconds=2)
SWEEP_SECONDS = 1.0


class JudgePurposes:
    """Judges purposes one after the other.

    Attributes:
        rules: the last decision of each purpose, for whoever asks why.
    """

    def __init__(
        self,
        *,
        beliefs: Beliefs,
        pending: Pending,
        metrics: Metrics,
        now: Callable[[], datetime],
        probe_now: Callable[[TargetId], None],
        reschedule: Callable[[TargetId], None],
        resync: Callable[[], None],
        instance: str,
    ) -> None:
        self._beliefs = beliefs
        self._pending = pending
        self._metrics = metrics
        self._now = now
        self._probe_now = probe_now
        self._reschedule = reschedule
        self._resync = resync
        self._instance = instance
        self._due: set[Purpose] = set()
        self._deadlines: dict[Purpose, datetime] = {}
        self._asked: dict[TargetId, datetime] = {}
        self._wake = asyncio.Event()
        self._swept_at = 0.0
        self.rules: dict[Purpose, Decision] = {}

    def judge(self, purpose: Purpose | None) -> None:
        """Judge a purpose soon; None asks for nothing."""
        if purpose is not None:
            self._due.add(purpose)
            self._wake.set()

    def judge_all(self) -> None:
        """Judge every purpose soon."""
        self._due.update(self._beliefs.purposes)
        self._wake.set()

    async def run(self, session: LeaderSession) -> None:
        """Judge until the session ends: without a record there is no move."""
        loop = asyncio.get_running_loop()
        while not session.lost.is_set():
            with suppress(TimeoutError):  # time itself may have changed something
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            if loop.time() - self._swept_at >= SWEEP_SECONDS:
                self._swept_at = loop.time()
                self._sweep()
            due, self._due = self._due, set()
            for purpose in sorted(due):
                await self._judge(purpose, session)

    def _sweep(self) -> None:
        now = self._now()
        for id_ in self._beliefs.expire(now):
            log.info("health_stale", target=str(id_), name=self._name(id_.provider))
            self._pending.mark(id_)
            self._reschedule(id_)
            if (target := self._beliefs.targets.get(id_)) is not None:
                word, blocks = self._beliefs.health_word(id_, now), self._beliefs.blocks(id_, now)
                self._metrics.set_health(target, word, blocks)
            self.judge(id_.purpose)
        for purpose in [one for one, deadline in self._deadlines.items() if deadline <= now]:
            del self._deadlines[purpose]
            self.judge(purpose)

    async def _judge(self, purpose: Purpose, session: LeaderSession) -> None:
        now = self._now()
        situation = self._beliefs.situation(purpose, now)
        if situation is None:
            return
        decision = decide(situation, now, self._beliefs.policy_for(purpose))
        self._note(purpose, decision, situation)
        try:
            match decision.action:
                case Action.KEEP:
                    pass
                case Action.QUALIFY:
                    self._qualify(purpose, decision)
                case Action.MOVE:
                    await self._move(purpose, situation, decision, now, session)
                case Action.STRAND:
                    await self._strand(purpose, decision, now, session)
                case Action.RELIEVE:
                    await self._strand(purpose, decision, None, session)
        except SwitchAborted as aborted:
            log.warning("switch_aborted", purpose=str(purpose), to=str(decision.to), reason=str(aborted))
            self._resync()
            self._retry(purpose, now)
        except STORE_ERRORS as error:
            log.warning("switch_impossible", purpose=str(purpose), error=type(error).__name__)
            self._retry(purpose, now)

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

    async def _move(
        self,
        purpose: Purpose,
        situation: Situation,
        decision: Decision,
        now: datetime,
        session: LeaderSession,
    ) -> None:
        state, to = self._beliefs.purposes[purpose], decision.to
        if state.seen is None or to is None:
            return
        if len(self._pending) > BATCH:
            # What a move rests on is stored with it: a long queue goes first.
            self._retry(purpose, now)
            return
        policy = self._beliefs.policy_for(purpose)
        fallback = fallback_after(situation, to, now, policy)
        move = Move(
            purpose=purpose,
            decision=decision,
            decided_at=now,
            seen=state.seen,
            generation=state.generation,
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
            batch = self._pending.take()
            try:
                generation = await commit_move(connection, move, batch.results, batch.healths, again)
            except BaseException:
                self._pending.give_back(batch)
                raise
            for (ref, fingerprint), vector in batch.vectors.items():
                self._pending.add_vector(ref, fingerprint, vector)
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
        self._moved(purpose, decision, left, to, generation)

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
        self.judge(purpose)

    async def _strand(
        self, purpose: Purpose, decision: Decision, since: datetime | None, session: LeaderSession
    ) -> None:
        async with session.use() as connection:
            await mark_stranded(connection, purpose, since)
            self._beliefs.strand(purpose, since)
        event = "purpose_stranded" if since else "purpose_relieved"
        log.warning(event, purpose=str(purpose), reason=decision.reason)
        self._changed(purpose)
        self.judge(purpose)

    def _changed(self, purpose: Purpose) -> None:
        export_purpose(self._beliefs, self._metrics, purpose, self._now())
        for id_ in self._beliefs.targets:
            if id_.purpose is purpose:
                self._reschedule(id_)

    def _note(self, purpose: Purpose, decision: Decision, situation: Situation) -> None:
        before = self.rules.get(purpose)
        self.rules[purpose] = decision
        if before is None or before.rule is not decision.rule:
            log.debug("rule", purpose=str(purpose), rule=str(decision.rule), reason=decision.reason)
        recent = len(situation.switches)
        if decision.action is Action.MOVE and recent >= self._beliefs.policy_for(purpose).switch_limit:
            log.error("switching_often", purpose=str(purpose), switches=recent)
        if decision.wake_at is None:
            self._deadlines.pop(purpose, None)
        else:
            self._deadlines[purpose] = decision.wake_at

    def _retry(self, purpose: Purpose, now: datetime) -> None:
        self._deadlines[purpose] = now + RETRY

    def _name(self, ref: ProviderRef) -> str:
        return self._beliefs.names.get(ref, "deleted")


def export_purpose(beliefs: Beliefs, metrics: Metrics, purpose: Purpose, now: datetime) -> None:
    """Show who serves a purpose in the metrics."""
    state = beliefs.purposes.get(purpose)
    if state is None:
        metrics.remove_purpose(purpose)
        return
    active = state.seen.active if state.seen else None
    target = beliefs.targets.get(TargetId(provider=active, purpose=purpose)) if active else None
    metrics.set_purpose(
        purpose,
        active=active,
        provider=target.provider if target else None,
        generation=state.generation,
        stranded=state.stranded_since is not None,
        pinned=state.pinned is not None and (state.pinned_until is None or state.pinned_until > now),
        paused=state.paused,
    )
