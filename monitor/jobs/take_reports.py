"""Take what applications report of their requests: it brings probes forward, and may be a fall with one."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from monitor.domain.health import Health, Heard
from monitor.domain.outcome import Vote
from monitor.domain.reports import Hearing, Report, hear, heard, keep, words
from monitor.domain.target import Target, TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.journal import Journal
from monitor.jobs.judge_purposes import JudgePurposes
from monitor.jobs.pending import Pending
from monitor.jobs.probe_target import ProbeTarget
from monitor.metrics import Metrics
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.leader import LeaderSession
from monitor.storage.reports import MOST_ROWS, last_report, load_reports

log = structlog.get_logger()

EVERY_SECONDS = 15.0
REST_SECONDS = 0.05
LATE = timedelta(seconds=10)
"""A row that was not committed so long after a greater one will never be."""
MOST_MISSING = 1000


class TakeReports:
    """Reads new rows when somebody says so, and every 15 s in case nobody did; at most 20 times a second."""

    def __init__(
        self,
        *,
        beliefs: Beliefs,
        pending: Pending,
        journal: Journal,
        judge: JudgePurposes,
        probes: ProbeTarget,
        metrics: Metrics,
        now: Callable[[], datetime],
    ) -> None:
        self._beliefs = beliefs
        self._pending = pending
        self._journal = journal
        self._judge = judge
        self._probes = probes
        self._metrics = metrics
        self._now = now
        self._known: dict[TargetId, tuple[str, tuple[Report, ...]]] = {}
        self._read_to: int | None = None
        self._missing: dict[int, datetime] = {}
        self._arrived = asyncio.Event()

    def arrived(self) -> None:
        """There may be new rows."""
        self._arrived.set()

    async def run(self, session: LeaderSession) -> None:
        """Take reports until the session ends; what was reported before it does not count any more."""
        self._read_to = None
        while not session.lost.is_set():
            try:
                more = await self._read(session)
            except STORE_ERRORS as error:
                self._pending.watch.failed(error, "reports")
                self._arrived.set()
                await asyncio.sleep(1)
                continue
            await asyncio.sleep(REST_SECONDS)
            if more:
                continue
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._arrived.wait()
            except TimeoutError:
                log.debug("reports_read_without_notice")

    def take(self, id_: TargetId, reports: Sequence[Report]) -> None:
        """Take reports of one target; no await, so that they stand in order with its results."""
        target = self._beliefs.targets.get(id_)
        if target is None or id_.purpose is None:
            return
        now, policy = self._now(), self._beliefs.policy_for(id_.purpose)
        fingerprint, before = self._known.get(id_, ("", ()))
        if fingerprint != target.fingerprint:
            before = ()
        self._known[id_] = target.fingerprint, keep(before, reports, now, policy)
        self._metrics.count_reports(target, reports)
        failures = [one for one in reports if one.failed]
        if not failures:
            return
        if not any(one.failed and now - one.at <= policy.report_span for one in before):
            first = failures[0]
            log.warning(
                "requests_fail",
                target=str(id_),
                name=target.name,
                outcome=str(first.outcome),
                source=first.source,
            )
        self._probes.hasten(id_)
        health, hearing = self._beliefs.healths.get(id_), self._hearing(id_)
        if health is None or hearing is None or heard(health, hearing, now, policy) is None:
            return
        self._judge.judge_due(id_.purpose, now)
        at = self._beliefs.instant(id_.purpose, now)
        after = self._beliefs.healths[id_] = self.hear(id_, self._beliefs.healths[id_], at)
        self._pending.mark(id_)
        if after.state is not health.state and after.heard is not None:
            self._tell(target, health, after, after.heard)
        self._probes.reschedule(id_)
        self._judge.judge(id_.purpose, at)

    def hear(self, id_: TargetId, health: Health, at: datetime) -> Health:
        """The belief with what is known of the target's requests, after a result or a report.

        It is noted what that was, so that it can be heard again in the same way.

        Args:
            id_: whose.
            health: with everything else up to `at`.
            at: the instant of the judgement that follows.
        """
        hearing = self._hearing(id_)
        if hearing is None or health.last is None or health.last.counts_as is not Vote.FAILURE:
            return health
        self._journal.heard(id_, hearing, at)
        found = heard(health, hearing, at, self._beliefs.policy_for(id_.purpose))
        return health if found is None else hear(health, found, at)

    def _hearing(self, id_: TargetId) -> Hearing | None:
        """What there is to hear of a target; None while none of its requests has failed."""
        target = self._beliefs.targets.get(id_)
        fingerprint, reports = self._known.get(id_, ("", ()))
        if target is None or fingerprint != target.fingerprint or not any(one.failed for one in reports):
            return None
        state = self._beliefs.purposes.get(id_.purpose) if id_.purpose is not None else None
        return Hearing(
            ref=id_.provider,
            fingerprint=fingerprint,
            reports=reports,
            deciding_since=self._beliefs.deciding_since,
            chosen_at=state.chosen_at if state is not None else None,
        )

    def _tell(self, target: Target, before: Health, after: Health, found: Heard) -> None:
        now = self._now()
        self._metrics.set_health(
            target, self._beliefs.health_word(target.id, now), self._beliefs.blocks(target.id, now)
        )
        log.warning(
            "health_changed",
            target=str(target.id),
            name=target.name,
            before=str(before.state),
            after=str(after.state),
            outcome=str(found.probe.outcome),
            requests=words(found),
        )

    async def _read(self, session: LeaderSession) -> bool:
        """Read what is new; whether there is more.

        Raises:
            STORE_ERRORS: the database did not answer.
        """
        async with session.use() as connection:
            if self._read_to is None:
                self._read_to, self._missing = await last_report(connection), {}
            self._arrived.clear()
            rows = await load_reports(connection, self._read_to, self._missing, self._now())
        self._count(self._read_to, [row.id for row in rows])
        by_target: dict[TargetId, list[Report]] = {}
        for row in rows:
            if row.target is not None:
                by_target.setdefault(row.target, []).extend(row.reports)
        for id_, reports in by_target.items():
            self.take(id_, sorted(reports, key=lambda one: one.at))
        return len(rows) == MOST_ROWS

    def _count(self, read_to: int, ids: Sequence[int]) -> None:
        """Remember which rows are still to come: ids are given before they are committed."""
        now = self._now()
        read = set(ids)
        self._read_to = max(read_to, *ids) if ids else read_to
        gaps = (id_ for id_ in range(max(read_to, self._read_to - MOST_MISSING) + 1, self._read_to))
        self._missing |= dict.fromkeys(gaps, now)
        self._missing = {
            id_: since for id_, since in self._missing.items() if id_ not in read and now - since < LATE
        }
