"""What a daemon that decides works with: prober, schedule and all the jobs, begun and ended together."""

from collections.abc import Callable
from datetime import datetime, timedelta

from monitor.domain.catalog import Catalog
from monitor.jobs.check_keys import CheckKeys
from monitor.jobs.lead import Lead
from monitor.metrics import Metrics
from monitor.open_keys import OpenKeys
from monitor.probing.destinations import Destinations
from monitor.probing.prober import Prober
from monitor.scheduling import Scheduler
from monitor.settings import Settings
from monitor.storage.arrivals import Retention
from monitor.storage.daemons import DaemonRow
from monitor.storage.leader import LeaderSession
from monitor.storage.spool import Spool


class Work:
    """From the first time that a daemon leads until another one does: a lost session does not end it.

    Attributes:
        lead: the jobs.
    """

    def __init__(self, *, prober: Prober, schedule: Scheduler, lead: Lead) -> None:
        self._prober = prober
        self._schedule = schedule
        self.lead = lead

    @classmethod
    async def begin(
        cls,
        *,
        settings: Settings,
        catalog: Catalog,
        keys: CheckKeys,
        open_keys: OpenKeys,
        metrics: Metrics,
        now: Callable[[], datetime],
        identity: DaemonRow,
        spool: Spool,
    ) -> "Work":
        """Build all of it; nothing is probed before the jobs are told to run.

        Args:
            settings: those in force.
            catalog: of servers and vendors.
            keys: what is known of stored keys.
            open_keys: open them.
            metrics: the daemon's.
            now: UTC.
            identity: the daemon.
            spool: where results wait for the database.
        """
        prober = Prober(
            unseal=keys.unseal,
            now=now,
            overall_limit=settings.concurrency,
            upstream_limit=settings.upstream_concurrency,
            destinations=Destinations(allow_metadata_addresses=settings.allow_metadata_addresses),
        )
        try:
            await prober.start()
        except BaseException:
            await prober.close()
            raise
        schedule = Scheduler(on_lag=metrics.observe_schedule_lag)
        schedule.start()
        lead = Lead(
            catalog=catalog,
            policy_for=settings.policy_for,
            prober=prober,
            schedule=schedule,
            metrics=metrics,
            now=now,
            keep=_keep(settings),
            identity=identity,
            spool=spool,
            allow_metadata_addresses=settings.allow_metadata_addresses,
            key_ids=open_keys.ids,
            keys=keys,
        )
        return cls(prober=prober, schedule=schedule, lead=lead)

    def turns(self) -> bool:
        """Whether the schedule turns."""
        return self._schedule.alive()

    def change(self, settings: Settings, catalog: Catalog) -> None:
        """Go by these from now on."""
        self.lead.change(policy_for=settings.policy_for, catalog=catalog, keep=_keep(settings))

    async def finish(self, session: LeaderSession) -> None:
        """Probe no more, and store all that is known."""
        await self._schedule.stop()
        await self.lead.finish(session)

    async def leave(self, session: LeaderSession) -> None:
        """Probe no more, and hand over: results are history, beliefs are the other daemon's."""
        await self._schedule.stop()
        await self.lead.leave(session)

    async def close(self) -> None:
        """Cease; what is not stored by now waits on disk."""
        await self._schedule.stop()
        await self._prober.close()
        await self.lead.close()
        self.lead.stop()


def _keep(settings: Settings) -> Retention:
    return Retention(
        results=timedelta(days=settings.retention_days),
        hourly=timedelta(days=settings.retention_hourly_days),
        daily=timedelta(days=settings.retention_daily_days),
    )
