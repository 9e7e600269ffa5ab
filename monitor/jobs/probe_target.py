"""Probe one target, and take its result through counting, storing, judging and planning the next one."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from monitor.domain.application_status import warnings
from monitor.domain.budget import stretch
from monitor.domain.eligibility import blocks
from monitor.domain.health import Health, HealthState, expect
from monitor.domain.observe import observe
from monitor.domain.outcome import Outcome, ProbeResult, Vote
from monitor.domain.policy import Policy
from monitor.domain.provider import Purpose
from monitor.domain.reports import words
from monitor.domain.schedule import deep_interval, is_contested, light_interval
from monitor.domain.target import ProbeKind, Target, TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.export_purpose import export_purpose
from monitor.jobs.pending import Pending
from monitor.metrics import Metrics

log = structlog.get_logger()


class Prober(Protocol):
    """Asks a target; always answers, whatever happens."""

    async def probe(self, target: Target, kind: ProbeKind, policy: Policy) -> ProbeResult:
        """One probe."""


class Schedule(Protocol):
    """Runs jobs on their grid."""

    def put(
        self,
        job_id: str,
        interval: timedelta,
        run: Callable[[], Awaitable[None]],
        *,
        jitter: float = 0.0,
        anchor_delay: timedelta | None = None,
        soon: bool = False,
    ) -> None:
        """Add a job or change its interval."""

    def run_now(self, job_id: str) -> bool:
        """Bring the next run forward."""

    def remove(self, job_id: str) -> None:
        """Stop a job."""


class ProbeTarget:
    """The probes of every target, and when the next ones are."""

    def __init__(
        self,
        *,
        beliefs: Beliefs,
        pending: Pending,
        metrics: Metrics,
        prober: Prober,
        schedule: Schedule,
        now: Callable[[], datetime],
    ) -> None:
        self._beliefs = beliefs
        self._pending = pending
        self._metrics = metrics
        self._prober = prober
        self._schedule = schedule
        self._now = now
        self._forwarded: dict[TargetId, datetime] = {}
        self._hastened: dict[TargetId, datetime] = {}
        self._invalid: set[TargetId] = set()
        self.judge: Callable[[Purpose | None, datetime], None] = lambda _purpose, _at: None
        self.judge_due: Callable[[Purpose | None, datetime], None] = lambda _purpose, _at: None
        self.hear: Callable[[TargetId, Health, datetime], Health] = lambda _id, health, _at: health

    def start(self, target: Target) -> None:
        """Begin to probe a target; its first probes come soon, spread over all that start."""
        policy = self._beliefs.policy_for(target.id.purpose)
        light = light_interval(target, policy)
        self._metrics.set_interval(target, ProbeKind.LIGHT, light)
        self._put(target.id, ProbeKind.LIGHT, light, policy, soon=True)
        if target.id.purpose is not None:
            interval = self._interval(target, policy)
            self._beliefs.intervals[target.id] = interval
            self._metrics.set_interval(target, ProbeKind.DEEP, interval)
            self._put(target.id, ProbeKind.DEEP, interval, policy, soon=True)

    def replan(self, id_: TargetId) -> None:
        """Plan the probes of a target anew, whatever about it or its policy has changed."""
        if (target := self._beliefs.targets.get(id_)) is not None:
            self.start(target)
            self.reschedule(id_)

    def stop(self, id_: TargetId) -> None:
        """Cease to probe a target."""
        for kind in ProbeKind:
            self._schedule.remove(_job(id_, kind))
        self._beliefs.intervals.pop(id_, None)
        self._forwarded.pop(id_, None)
        self._hastened.pop(id_, None)
        self._invalid.discard(id_)

    def probe_now(self, id_: TargetId) -> None:
        """Bring the next deep probe forward to now."""
        self._schedule.run_now(_job(id_, ProbeKind.DEEP))

    def hasten(self, id_: TargetId) -> None:
        """Bring the next deep probe forward because an application's request failed.

        However many say so, once in a re-check interval; and one that is down, blocked or limited, or whose
        probes have cost enough today, no more often than it is probed anyway.
        """
        target, health = self._beliefs.targets.get(id_), self._beliefs.healths.get(id_)
        if target is None or health is None or id_.purpose is None:
            return
        policy, now = self._beliefs.policy_for(id_.purpose), self._now()
        wanted, interval = self._wanted(target, policy), self._interval(target, policy)
        settled = health.state is HealthState.DOWN or bool(blocks(health, now, policy))
        patience = interval if settled or interval > wanted else policy.recheck_interval
        last = self._hastened.get(id_)
        if last is None or now - last >= patience:
            self._hastened[id_] = now
            self.probe_now(id_)

    def probe_asked(self, id_: TargetId) -> None:
        """Bring the next deep probe forward to now, or the light one of a target without a purpose."""
        kind = ProbeKind.LIGHT if id_.purpose is None else ProbeKind.DEEP
        self._schedule.run_now(_job(id_, kind))

    def reschedule(self, id_: TargetId, *, after_result: bool = False) -> None:
        """Plan the next deep probe anew; nothing changes when its interval does not.

        Args:
            id_: whose.
            after_result: a result has just come: a re-check is counted from its end.
        """
        target = self._beliefs.targets.get(id_)
        if target is None or id_.purpose is None:
            return
        policy = self._beliefs.policy_for(id_.purpose)
        interval, before = self._interval(target, policy), self._beliefs.intervals.get(id_)
        self._beliefs.intervals[id_] = interval
        self._metrics.set_interval(target, ProbeKind.DEEP, interval)
        health = expect(self._beliefs.healths[id_], interval, policy, _longest(target, policy))
        self._beliefs.healths[id_] = health
        if after_result and is_contested(health, self._now(), policy):
            # From the end of the last one, without jitter: the span of a fall is measured there too.
            self._put(id_, ProbeKind.DEEP, interval, policy, anchor_delay=interval)
        elif interval != before:
            self._put(id_, ProbeKind.DEEP, interval, policy)

    async def run(self, id_: TargetId, kind: ProbeKind) -> None:
        """Probe a target as it is described now."""
        target = self._beliefs.targets.get(id_)
        if target is None:
            return
        self.take(target, await self._prober.probe(target, kind, self._beliefs.policy_for(id_.purpose)))

    def take(self, target: Target, result: ProbeResult) -> None:
        """Take a result through; no await, so that one target's results pass in order."""
        if target.id not in self._beliefs.targets:
            return
        if result.kind is ProbeKind.DEEP:
            self.judge_due(target.id.purpose, result.ended_at)
            known = self._beliefs.healths.get(target.id)
            # One that judges nobody takes nobody's place: a deadline at the very same instant keeps its own.
            if known is not None and known.fingerprint == result.fingerprint:
                result = self._beliefs.in_order(result)
        self._metrics.observe_probe(target, result)
        self._beliefs.spending.add(result)
        log.debug("probed", target=str(target.id), kind=str(result.kind), outcome=str(result.outcome))
        before = self._beliefs.healths.get(target.id)
        if before is None or before.fingerprint != result.fingerprint:
            self._pending.add(result)
            return
        if result.kind is ProbeKind.DEEP and self._beliefs.give_up(target.id, result.started_at):
            before = self._beliefs.healths[target.id]
        policy = self._beliefs.policy_for(target.id.purpose)
        after = observe(before, result, policy)
        if result.kind is ProbeKind.DEEP:
            after = self.hear(target.id, after, result.ended_at)
        self._beliefs.healths[target.id] = after
        if replace(before, light_started_at=after.light_started_at) != after:
            self._pending.mark(target.id)
        self._tell(target, before, after, result, policy)
        if result.kind is ProbeKind.DEEP:
            self._beliefs.last_outcomes[target.id] = result.outcome
            self._tell_invalid(target, result)
            self._keep_vector(target, result)
            self.reschedule(target.id, after_result=True)
            self._pending.add(self._with_reach(result))
            self._show_serving(target.id, result)
            self.judge(target.id.purpose, result.ended_at)
        else:
            self._pending.add(result)
            self._forward(target, result, policy)

    def _show_serving(self, id_: TargetId, result: ProbeResult) -> None:
        if id_.purpose is None or self._beliefs.active(id_.purpose) != id_.provider:
            return
        self._metrics.count_serving_probe(id_.purpose, result.vote)
        export_purpose(self._beliefs, self._metrics, id_.purpose, result.ended_at)

    def _forward(self, target: Target, result: ProbeResult, policy: Policy) -> None:
        # A light failure judges nothing: it asks for the proof.
        if target.id.purpose is None or result.vote not in (Vote.FAILURE, Vote.BLOCK):
            return
        now, last = self._now(), self._forwarded.get(target.id)
        if last is None or now - last >= policy.light_forward_interval:
            self._forwarded[target.id] = now
            self.probe_now(target.id)

    def _with_reach(self, result: ProbeResult) -> ProbeResult:
        # What a minute without a probe is taken for: the same as what is believed, for as long.
        health = self._beliefs.healths[result.target]
        if health.stale_at is None or health.last is None or health.last.result_id != result.id:
            return result
        return replace(result, reach=health.stale_at - result.started_at)

    def _keep_vector(self, target: Target, result: ProbeResult) -> None:
        vector, place = result.readings.embedding, (target.id.provider, target.fingerprint)
        if vector is not None and result.outcome is Outcome.OK and place not in self._beliefs.vectors:
            self._beliefs.vectors[place] = vector
            self._pending.add_vector(*place, vector)

    def _tell_invalid(self, target: Target, result: ProbeResult) -> None:
        # Our own defect, or a model that nobody named: it judges nobody, so somebody has to be told.
        if result.outcome is not Outcome.PROBE_INVALID:
            self._invalid.discard(target.id)
        elif target.id not in self._invalid:
            self._invalid.add(target.id)
            log.error("probe_invalid", target=str(target.id), name=target.name, detail=result.detail)

    def _tell(
        self, target: Target, before: Health, after: Health, result: ProbeResult, policy: Policy
    ) -> None:
        now = self._now()
        self._metrics.set_health(
            target, self._beliefs.health_word(target.id, now), self._beliefs.blocks(target.id, now)
        )
        who = {"target": str(target.id), "name": target.name}
        if before.state is not after.state:
            event = log.warning if after.fell_on else log.info
            event(
                "health_changed",
                **who,
                before=str(before.state),
                after=str(after.state),
                outcome=str(result.outcome),
                detail=result.detail or None,
                requests=words(after.heard) if after.heard is not None else None,
            )
        for name, found in (("block", blocks), ("warning", warnings)):
            old, new = found(before, now, policy), found(after, now, policy)
            for one in sorted(new - old):
                log.warning(f"{name}_began", **who, **{name: str(one)}, detail=result.detail or None)
            for one in sorted(old - new):
                log.info(f"{name}_ended", **who, **{name: str(one)})

    def _wanted(self, target: Target, policy: Policy) -> timedelta:
        health, now = self._beliefs.healths[target.id], self._now()
        role, purpose = self._beliefs.role(target.id), target.id.purpose
        state = self._beliefs.purposes.get(purpose) if purpose is not None else None
        return deep_interval(target, role, health, now, policy, state.chosen_at if state else None)

    def _interval(self, target: Target, policy: Policy) -> timedelta:
        wanted = self._wanted(target, policy)
        if wanted <= policy.recheck_interval:
            # An answer that is wanted soon decides who serves: it is worth its price.
            return wanted
        ref, spending = target.id.provider, self._beliefs.spending
        limit = target.probe.daily_cost_usd
        return stretch(
            wanted,
            spent_usd=spending.spent_usd.get(ref, 0.0),
            round_usd=spending.round_usd(ref),
            limit_usd=policy.daily_cost_usd if limit is None else limit,
            now=self._now(),
        )

    def _put(
        self,
        id_: TargetId,
        kind: ProbeKind,
        interval: timedelta,
        policy: Policy,
        *,
        anchor_delay: timedelta | None = None,
        soon: bool = False,
    ) -> None:
        self._schedule.put(
            _job(id_, kind),
            interval,
            lambda: self.run(id_, kind),
            jitter=policy.jitter if anchor_delay is None else 0.0,
            anchor_delay=anchor_delay,
            soon=soon,
        )


def _job(id_: TargetId, kind: ProbeKind) -> str:
    return f"{id_}:{kind}"


def _longest(target: Target, policy: Policy) -> timedelta:
    # A target that goes stale during its own probe would never be believed.
    return target.probe.timeout or (policy.timeout_loading if target.probe.slow_start else policy.timeout)
