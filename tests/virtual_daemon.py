"""The jobs of a daemon that decides, in virtual time on a real PostgreSQL; only the probes are made up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.policy import Policy
from monitor.domain.target import ProbeKind, Target
from monitor.jobs.check_keys import CheckKeys
from monitor.jobs.lead import Lead
from monitor.metrics import Metrics
from monitor.probing.catalog import load_catalog
from monitor.storage.address import Address
from monitor.storage.arrivals import Retention
from monitor.storage.daemons import DaemonRow
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.leader import LeaderSession
from monitor.storage.spool import Spool
from tests.virtual_time import VirtualLoop, VirtualSchedule

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = Policy(
    light_interval=timedelta(seconds=60),
    light_interval_local=timedelta(seconds=60),
    standby_interval=timedelta(seconds=120),
)
CATALOG = load_catalog()
LIGHT_FAILS = frozenset({Outcome.UNREACHABLE, Outcome.AUTH_FAILED})
TIMEOUT_SECONDS = 20.0


class _Session(LeaderSession):
    """A session whose answers the virtual clock waits for."""

    def __init__(self, address: Address, loop: VirtualLoop) -> None:
        super().__init__(address)
        self._loop = loop

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Any]:
        async with super().use() as connection:
            with self._loop.answers():
                yield connection

    def take(self) -> Any:
        """The session for as long as a test wants it; time goes on meanwhile."""
        return super().use()


class _Spool(Spool):
    """A spool whose thread the virtual clock waits for."""

    def __init__(self, folder: Path, metrics: Metrics, loop: VirtualLoop) -> None:
        super().__init__(folder, metrics.count_results_dropped)
        self._loop = loop

    async def open(self, store: str, *, quietly: bool = False) -> bool:
        with self._loop.answers():
            return await super().open(store, quietly=quietly)

    async def close(self) -> None:
        with self._loop.answers():
            await super().close()

    async def add(self, results: Sequence[ProbeResult]) -> bool:
        with self._loop.answers():
            return await super().add(results)

    async def oldest(self, limit: int) -> list[ProbeResult]:
        with self._loop.answers():
            return await super().oldest(limit)

    async def remove(self, ids: Sequence[ResultId]) -> None:
        with self._loop.answers():
            await super().remove(ids)


class VirtualDaemon:
    """One daemon after another on the same database.

    Attributes:
        weather: what each provider shows to probes, by its id; `ok` unless it is named.
        taken: every result that was taken in, by its id.
        session: the one that leads, or None.
    """

    def __init__(self, loop: VirtualLoop, address: Address, folder: Path) -> None:
        self.weather: dict[int, Outcome] = {}
        self.taken: dict[str, ProbeResult] = {}
        self.session: _Session | None = None
        self._loop = loop
        self._address = address
        self._metrics = Metrics(version="test")
        self._spool = _Spool(folder, self._metrics, loop)
        self._lead: Lead | None = None
        self._schedule: VirtualSchedule | None = None
        self._runs: asyncio.Task[None] | None = None
        self._starts = 0
        self._probes = 0

    def now(self) -> datetime:
        """UTC, virtual."""
        return START + timedelta(seconds=self._loop.time())

    @property
    def lead(self) -> Lead:
        """The jobs of the daemon that runs."""
        assert self._lead is not None
        return self._lead

    async def start(self) -> None:
        """Start a new daemon, which takes up what the database holds."""
        self._starts += 1
        self._schedule = VirtualSchedule(self._loop)
        identity = DaemonRow(
            instance=UUID(int=self._starts),
            host="virtual",
            pid=self._starts,
            version="test",
            role="active",
            listen="http://127.0.0.1:1",
            started_at=self.now(),
        )
        self._lead = Lead(
            keys=CheckKeys(lambda sealed: sealed.text),
            catalog=CATALOG,
            policy_for=lambda _purpose: POLICY,
            prober=self,
            schedule=self._schedule,
            metrics=self._metrics,
            now=self.now,
            keep=Retention(results=timedelta(days=365)),
            identity=identity,
            spool=self._spool,
        )
        await self.connect()

    async def connect(self) -> None:
        """Open a session, lead, and do every job."""
        self.session = _Session(self._address, self._loop)
        with self._loop.answers():
            await self.session.open()
        while not await self.session.try_lead():  # the server ends a killed session in its own time
            with self._loop.answers():
                await asyncio.sleep(0)
        await self.lead.take_up(self.session)
        self._runs = asyncio.create_task(self.lead.run(self.session), name="lead")

    async def lose_session(self, connection: Any) -> None:
        """The server ends the session; probes go on.

        Args:
            connection: another one to the same database.
        """
        assert self.session is not None
        async with self.session.take() as own:
            pid = own.get_server_pid()
        with self._loop.answers():
            await connection.execute("SELECT pg_terminate_backend($1)", pid)
            await self.session.lost.wait()
        await self._end_jobs()
        await self.session.close()
        self.session = None

    async def stop(self) -> None:
        """End as after SIGTERM: everything is stored."""
        await self._end_jobs()
        if self._schedule is not None:
            await self._schedule.stop()
        if self.session is not None:
            await self.lead.finish(self.session)
        await self.lead.close()
        await self._close()

    async def kill(self) -> None:
        """End as after SIGKILL: nothing is done any more, by any task."""
        self._runs = None
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if self._schedule is not None:
            await self._schedule.stop()
        for task in tasks:
            task.cancel()
        with self._loop.answers():
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._close()

    def check_alive(self) -> None:
        """No job has died of a fault."""
        if self._runs is not None and self._runs.done() and not self._runs.cancelled():
            self._runs.result()
            assert self.session is None or self.session.lost.is_set(), "the jobs have ended by themselves"

    async def probe(self, target: Target, kind: ProbeKind, _policy: Policy) -> ProbeResult:
        """The weather, as a probe sees it."""
        started = self.now()
        outcome = self.weather.get(target.id.provider.id, Outcome.OK)
        if kind is ProbeKind.LIGHT and outcome not in LIGHT_FAILS:
            outcome = Outcome.OK
        await asyncio.sleep(TIMEOUT_SECONDS if outcome is Outcome.TIMEOUT else 0.25)
        self._probes += 1
        result = ProbeResult(
            id=ResultId(UUID(int=self._probes).hex),
            target=target.id,
            fingerprint=target.fingerprint,
            kind=kind,
            outcome=outcome,
            started_at=started,
            ended_at=self.now(),
            latency_seconds=0.25 if outcome is Outcome.OK else None,
            retry_after=timedelta(seconds=400) if outcome is Outcome.RATE_LIMITED else None,
        )
        # The caller goes on with it at once: it is taken in unless nobody wants the target any more.
        if target.id in self.lead.beliefs.targets:
            self.taken[result.id] = result
        return result

    def probe_now(self, server: int) -> None:
        """Bring the deep probes of a server forward."""
        assert self._schedule is not None
        for id_ in self.lead.beliefs.targets:
            if id_.provider.id == server:
                self._schedule.run_now(f"{id_}:{ProbeKind.DEEP}")

    async def _end_jobs(self) -> None:
        runs, self._runs = self._runs, None
        if runs is not None:
            runs.cancel()
            with self._loop.answers(), suppress(asyncio.CancelledError, *STORE_ERRORS):
                await runs

    async def _close(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            with self._loop.answers():
                await session.close()
        await self._spool.close()
