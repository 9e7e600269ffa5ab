"""All the jobs of a daemon that decides, from the moment it leads until it no longer does."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.budget import day_start
from monitor.domain.catalog import Catalog
from monitor.domain.journal import pin_holds
from monitor.domain.policy import Policy
from monitor.domain.provider import Purpose
from monitor.domain.standing_line import Serving
from monitor.domain.target import TargetId
from monitor.jobs.asked_probes import AskedProbes
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.check_keys import CheckKeys
from monitor.jobs.heartbeat import Heartbeat
from monitor.jobs.journal import Journal
from monitor.jobs.judge_purposes import JudgePurposes
from monitor.jobs.pending import Pending
from monitor.jobs.probe_target import Prober, ProbeTarget, Schedule
from monitor.jobs.prune import Prune
from monitor.jobs.roll_up import RollUp
from monitor.jobs.spool_results import SpoolResults, drain_all
from monitor.jobs.store_results import StoreResults
from monitor.jobs.store_watch import StoreWatch
from monitor.jobs.sync_targets import SyncTargets, breathe
from monitor.jobs.take_reports import TakeReports
from monitor.metrics import Metrics
from monitor.storage.arrivals import Retention
from monitor.storage.asked_probes import PROBE_CHANNEL
from monitor.storage.daemons import DaemonRow, forget_silent_daemons
from monitor.storage.healths import load_healths
from monitor.storage.history import read_store_id
from monitor.storage.leader import LeaderSession
from monitor.storage.listener import CONFIGURATION_CHANNEL
from monitor.storage.purposes import PurposeState, load_purposes, load_switches
from monitor.storage.references import load_references
from monitor.storage.reports import REPORTS_CHANNEL
from monitor.storage.results import spent_since
from monitor.storage.spool import Spool

log = structlog.get_logger()

SWITCHES_KEPT = timedelta(hours=2)
SILENT_FORGOTTEN = timedelta(hours=1)
BEGIN_SPOOL_SECONDS = 5.0
FINISH_SPOOL_SECONDS = 3.0
REST_SECONDS = 2.0


class Lead:
    """The jobs and what they share.

    A lost session stops only what writes and decides: probes go on, and their results wait for the next one.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        policy_for: Callable[[Purpose | None], Policy],
        prober: Prober,
        schedule: Schedule,
        metrics: Metrics,
        now: Callable[[], datetime],
        keep: Retention,
        identity: DaemonRow,
        spool: Spool,
        keys: CheckKeys,
        allow_metadata_addresses: bool = False,
        key_ids: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._metrics = metrics
        self._now = now
        self._catalog = catalog
        self._keys = keys
        self._allow_metadata_addresses = allow_metadata_addresses
        self._instance = str(identity.instance)
        self.beliefs = Beliefs(policy_for, now())
        self.watch = StoreWatch(metrics, self._store_fails, self._store_is_back)
        self._spool = spool
        self._pending = Pending(self.beliefs, metrics, now, spool=spool, watch=self.watch)
        self._store = StoreResults(self.beliefs, self._pending, metrics, now)
        self._spools = SpoolResults(self._pending, spool, metrics)
        self._spooling: asyncio.Task[None] | None = None
        self._heartbeat = Heartbeat(identity, self._pending, key_ids=key_ids)
        self._probes = ProbeTarget(
            beliefs=self.beliefs,
            pending=self._pending,
            metrics=metrics,
            prober=prober,
            schedule=schedule,
            now=now,
        )
        self._journal = Journal(self.beliefs, self._instance, self.watch)
        self.judge = JudgePurposes(
            beliefs=self.beliefs,
            pending=self._pending,
            journal=self._journal,
            metrics=metrics,
            now=now,
            probe_now=self._probes.probe_now,
            reschedule=self._probes.reschedule,
            resync=self.rows_changed,
            instance=str(identity.instance),
        )
        self._reports = TakeReports(
            beliefs=self.beliefs,
            pending=self._pending,
            journal=self._journal,
            judge=self.judge,
            probes=self._probes,
            metrics=metrics,
            now=now,
        )
        self._probes.judge = self.judge.judge
        self._probes.judge_due = self.judge.judge_due
        self._probes.hear = self._reports.hear
        self._asked = AskedProbes(self.beliefs, self._probes)
        self._prune = Prune(keep, now)
        self._roll_up = RollUp(keep, now)
        self._sync: SyncTargets | None = None

    @property
    def channels(self) -> Mapping[str, Callable[[str], None]]:
        """What is done at a notification, by its channel; given the payload."""
        return {
            CONFIGURATION_CHANNEL: lambda _: self.rows_changed(),
            REPORTS_CHANNEL: lambda _: self._reports.arrived(),
            PROBE_CHANNEL: self._asked.heard,
        }

    def notified(self, channel: str, payload: str) -> None:
        """Somebody has said that something is new."""
        self.channels[channel](payload)

    def missed(self) -> None:
        """Notifications may have been missed."""
        self.rows_changed()
        self._reports.arrived()

    def rows_changed(self) -> None:
        """Some row of the application has changed."""
        if self._sync is not None:
            self._sync.changed()

    def change(
        self, *, policy_for: Callable[[Purpose | None], Policy], catalog: Catalog, keep: Retention
    ) -> None:
        """Go by other settings from now on; `replan` follows."""
        self.beliefs.policy_for = policy_for
        self._prune.keep = self._roll_up.keep = keep
        self._catalog = catalog
        if self._sync is not None:
            self._sync.catalog = catalog

    async def replan(self) -> None:
        """Plan every probe, read every row and judge every purpose by the settings of now."""
        for count, id_ in enumerate(list(self.beliefs.targets)):
            self._probes.replan(id_)
            await breathe(count)
        self.judge.policy_changed()
        self.rows_changed()

    async def take_up(self, session: LeaderSession) -> None:
        """Load what was known, read the rows and begin to probe; again after every loss of the session.

        Raises:
            STORE_ERRORS: the database did not answer.
        """
        await self._take_up_spool(session)
        now = self._now()
        async with session.use() as connection:
            await forget_silent_daemons(connection, SILENT_FORGOTTEN)
            self.beliefs.purposes = {
                purpose: _not_after(state, now)
                for purpose, state in (await load_purposes(connection)).items()
            }
            self.beliefs.switches = {
                purpose: tuple(replace(one, at=min(one.at, now)) for one in switches)
                for purpose, switches in (await load_switches(connection, now - SWITCHES_KEPT)).items()
            }
            if self._sync is None:
                self.beliefs.vectors = await load_references(connection)
                self.beliefs.spending.spent_usd = await spent_since(connection, day_start(now))
                self._sync = SyncTargets(
                    beliefs=self.beliefs,
                    pending=self._pending,
                    metrics=self._metrics,
                    catalog=self._catalog,
                    probes=self._probes,
                    judge=self.judge,
                    stored_healths=await load_healths(connection),
                    now=self._now,
                    instance=self._instance,
                    keys=self._keys,
                    allow_metadata_addresses=self._allow_metadata_addresses,
                )
        self.beliefs.deciding_since = now
        await self._sync.sync(session)
        # Whoever begins to decide wants a result of its own of those that serve.
        for purpose in Purpose:
            if (active := self.beliefs.active(purpose)) is not None:
                self._probes.probe_now(TargetId(provider=active, purpose=purpose))
        self.watch.worked()

    async def run(self, session: LeaderSession) -> None:
        """Do every job until the session is lost; one that dies of a fault of ours ends all, loudly."""
        if self._sync is None or self._spooling is None:
            raise RuntimeError("take_up comes first")
        jobs = (
            self._heartbeat.run,
            self._store.run,
            self._spools.drain,
            self._journal.run,
            self._sync.run,
            self._reports.run,
            self.judge.run,
            self._prune.run,
            self._roll_up.run,
        )
        tasks = [asyncio.create_task(job(session), name=job.__qualname__) for job in jobs]
        lost = asyncio.create_task(session.lost.wait(), name="session lost")
        ends = {lost, self._spooling, *tasks}
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._metrics.set_store_up(False)
            async with session.rest(REST_SECONDS):
                for task in (lost, *tasks):
                    task.cancel()
            await asyncio.gather(lost, *tasks, return_exceptions=True)
        for task in done - {lost}:
            if (error := task.exception()) is not None:
                raise error

    async def finish(self, session: LeaderSession) -> None:
        """Store what is still pending, at the end.

        Raises:
            STORE_ERRORS: the database did not answer; what was pending waits on disk for the next start.
        """
        while not self._pending.idle:
            await self._store.flush(session)
        await self._journal.flush(session)
        await self._spool.remove(self._pending.take_copies())
        await drain_all(session, self._spool, self._metrics, FINISH_SPOOL_SECONDS)

    async def leave(self, session: LeaderSession) -> None:
        """Store the results that are left when another daemon leads. Stop the schedule first.

        Raises:
            STORE_ERRORS: the database did not answer; they wait.
        """
        await self._store.leave(session)
        await self._spool.remove(self._pending.take_copies())

    async def close(self) -> None:
        """Lay on disk what is in memory alone; what it does not take is lost. Stop the schedule first."""
        if self._spooling is not None:
            self._spooling.cancel()
            await asyncio.gather(self._spooling, return_exceptions=True)
        if not await self._spools.keep(0):
            lost = len(self._pending) - self._pending.on_disk
            self._metrics.count_results_dropped(lost)
            log.error("results_lost", count=lost)

    def stop(self) -> None:
        """Cease to probe: another daemon leads now. Stop the schedule first."""
        self._asked.close()
        for target in self.beliefs.targets.values():
            self._metrics.remove_target(target.id)
            self._metrics.remove_provider(target.id.provider)
        for purpose in Purpose:
            self._metrics.remove_purpose(purpose)
        self.beliefs.targets.clear()

    async def _take_up_spool(self, session: LeaderSession) -> None:
        async with session.use() as connection:
            store = await read_store_id(connection)
        await self._spool.open(store)
        self._pending.show()
        if self._sync is None:
            # Before anything is loaded: what those probes cost counts for today. Healths know better already.
            await drain_all(session, self._spool, self._metrics, BEGIN_SPOOL_SECONDS)
        if self._spooling is None:
            self._spooling = asyncio.create_task(self._spools.run(), name="spool results")

    def _store_fails(self) -> None:
        self.judge.hold()

    def _store_is_back(self) -> None:
        # As if it began to decide now: a look with its own eyes comes before the first move.
        self.beliefs.deciding_since = self._now()
        for purpose in Purpose:
            if (active := self.beliefs.active(purpose)) is not None:
                self._probes.probe_now(TargetId(provider=active, purpose=purpose))
        self.judge.resume()

    def servings(self) -> tuple[Serving, ...]:
        """Who serves each purpose, for a person."""
        now, names = self._now(), self.beliefs.names
        return tuple(
            Serving(
                purpose=purpose,
                name=names.get(state.seen.active) or str(state.seen.active),
                status=self.beliefs.purpose_status(purpose, now),
                stranded=state.stranded_since is not None,
                pinned=pin_holds(state.pinned, state.pinned_until, now),
                paused=state.paused,
            )
            for purpose in Purpose
            if (state := self.beliefs.purposes.get(purpose)) is not None and state.seen is not None
        )

    def results_waiting(self) -> int:
        """How many results wait on disk for the database."""
        return self._pending.on_disk

    def purposes(self) -> dict[Purpose, ApplicationStatus]:
        """The application's word for every purpose that somebody serves."""
        now = self._now()
        return {
            purpose: self.beliefs.purpose_status(purpose, now)
            for purpose, state in self.beliefs.purposes.items()
            if state.seen is not None
        }


def _not_after(state: PurposeState, now: datetime) -> PurposeState:
    # Written before somebody set the database's clock back: what lies ahead began now.
    return replace(
        state,
        chosen_at=min(state.chosen_at, now) if state.chosen_at else None,
        stranded_since=min(state.stranded_since, now) if state.stranded_since else None,
    )
