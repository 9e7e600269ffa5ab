"""Follow the application's rows: what is probed, who serves, what an operator wants, which are bad."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog

from monitor.domain.catalog import Catalog
from monitor.domain.configuration import Configuration, read_configuration
from monitor.domain.health import Health, expire
from monitor.domain.preference import Pointers, ordered, read_edit
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.rows import ConfigurationRows
from monitor.domain.schedule import plan
from monitor.domain.target import Target, TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.check_keys import CheckKeys
from monitor.jobs.export_purpose import export_purpose
from monitor.jobs.judge_purposes import JudgePurposes
from monitor.jobs.pending import Pending
from monitor.jobs.probe_target import ProbeTarget
from monitor.jobs.take_acts import TakeActs
from monitor.metrics import Metrics
from monitor.storage.edits import adopt_edit
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.healths import forget_healths
from monitor.storage.leader import LeaderSession
from monitor.storage.maintenance import load_maintenance
from monitor.storage.problems import replace_problems
from monitor.storage.providers import read_rows
from monitor.storage.purposes import forget_purpose, load_purposes

log = structlog.get_logger()

EVERY_SECONDS = 15.0
EDIT_ATTEMPTS = 5


class SyncTargets:
    """Reads the rows when they change, and every 15 s in case nobody said so.

    Attributes:
        catalog: what the rows are read with.
    """

    def __init__(
        self,
        *,
        beliefs: Beliefs,
        pending: Pending,
        metrics: Metrics,
        catalog: Catalog,
        probes: ProbeTarget,
        judge: JudgePurposes,
        stored_healths: dict[TargetId, Health],
        now: Callable[[], datetime],
        instance: str,
        keys: CheckKeys,
        allow_metadata_addresses: bool = False,
    ) -> None:
        self._beliefs = beliefs
        self._pending = pending
        self._metrics = metrics
        self.catalog = catalog
        self._probes = probes
        self._judge = judge
        self._stored_healths = stored_healths
        self._now = now
        self._instance = instance
        self._keys = keys
        self._allow_metadata_addresses = allow_metadata_addresses
        self._acts = TakeActs(beliefs=beliefs, pending=pending, probe_now=probes.probe_now, now=now)
        self._changed = asyncio.Event()
        self._exported: set[ProviderRef] = set()
        self._made: tuple[Catalog, ConfigurationRows, Configuration] | None = None

    def changed(self) -> None:
        """Some row has changed: read them soon."""
        self._changed.set()

    async def run(self, session: LeaderSession) -> None:
        """Follow the rows until the session ends."""
        while not session.lost.is_set():
            try:
                async with asyncio.timeout(self._acts.seconds_left(EVERY_SECONDS)):
                    await self._changed.wait()
            except TimeoutError:
                log.debug("rows_read_without_notice")
            self._changed.clear()
            try:
                await self.sync(session)
            except STORE_ERRORS as error:
                self._pending.watch.failed(error, "rows")
                self._changed.set()
                await asyncio.sleep(1)

    async def sync(self, session: LeaderSession) -> None:
        """Read the rows and make them true.

        Raises:
            STORE_ERRORS: the database did not answer; nothing has changed then.
        """
        async with session.use() as connection:
            configuration = await self._read(connection)
            self._note_gone(configuration)
            self._adopt(configuration)
            await self._apply(connection, configuration)
        self._acts.note_maintenance()
        self._export(configuration)
        self._judge.judge_all(self._now())

    async def _read(self, connection: Any) -> Configuration:
        for _ in range(EDIT_ATTEMPTS):
            # One instant for all: an act of an operator writes the application's row and our own together.
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                rows = await read_rows(connection)
                states = await load_purposes(connection)
                maintenance = await load_maintenance(connection)
            if not await self._acts.take(connection, states):
                continue
            self._beliefs.maintenance = maintenance
            configuration = self._make_of(rows)
            if await self._take_edits(connection, configuration):
                return await self._keys.look(rows, configuration)
        raise TimeoutError("the rows change faster than they can be read")

    def _make_of(self, rows: ConfigurationRows) -> Configuration:
        """What rows say; a thousand of them take the event loop 60 ms, so the same ones are read once."""
        known = self._made
        if known is not None and known[0] is self.catalog and known[1] == rows:
            return known[2]
        configuration = read_configuration(
            rows, self.catalog, allow_metadata_addresses=self._allow_metadata_addresses
        )
        self._made = (self.catalog, rows, configuration)
        return configuration

    async def _take_edits(self, connection: Any, configuration: Configuration) -> bool:
        """Take up what operators wrote since; False when the rows have to be read again."""
        states, now = self._beliefs.purposes, self._now()
        edited = False
        for purpose, row in configuration.pointers.items():
            state = states.get(purpose)
            # Whoever chooses anew has no more use for what was deleted; what is only disabled may come back.
            order = tuple(
                ref for ref in configuration.preferences.get(purpose, ()) if ref in configuration.names
            )
            edit = read_edit(state.seen if state else None, row, order)
            if edit is None:
                continue
            edited = True
            names = dict(configuration.names)
            if await adopt_edit(connection, purpose, row, edit, state, names, now, self._instance):
                self._tell_edit(
                    purpose, row, known=state is not None, chosen=edit.chosen, configuration=configuration
                )
        for purpose in [
            one for one, state in states.items() if state.seen and one not in configuration.pointers
        ]:
            await forget_purpose(connection, purpose)
            log.warning("purpose_without_provider", purpose=str(purpose))
            edited = True
        if edited:
            self._beliefs.purposes = await load_purposes(connection)
        return not edited

    def _tell_edit(
        self, purpose: Purpose, row: Pointers, *, known: bool, chosen: bool, configuration: Configuration
    ) -> None:
        event = ("operator_chose" if chosen else "operator_changed_fallback") if known else "purpose_adopted"
        name = configuration.names.get(row.active)
        log.info(event, purpose=str(purpose), active=f"{row.active} ({name})", fallback=str(row.fallback))
        if chosen:
            self._probes.probe_now(TargetId(provider=row.active, purpose=purpose))

    def _note_gone(self, configuration: Configuration) -> None:
        gone, now = self._beliefs.gone_since, self._now()
        wanted = self._wanted(configuration)
        for ref in wanted - configuration.present - gone.keys():
            gone[ref] = now
            log.warning("provider_gone", provider=str(ref), name=configuration.names.get(ref))
        for ref in [one for one in gone if one in configuration.present or one not in wanted]:
            del gone[ref]
            log.info("provider_back", provider=str(ref), name=configuration.names.get(ref))

    def _wanted(self, configuration: Configuration) -> set[ProviderRef]:
        return {
            ref
            for purpose, row in configuration.pointers.items()
            for ref in ordered((row.active, *configuration.preferences.get(purpose, ())))
        }

    def _adopt(self, configuration: Configuration) -> None:
        before = self._beliefs.configuration
        old = before.problems if before else {}
        for subject, message in configuration.problems.items():
            if old.get(subject) != message:
                log.warning("configuration_problem", subject=subject, problem=message)
        for subject in old.keys() - configuration.problems.keys():
            log.info("configuration_problem_solved", subject=subject)
        self._beliefs.configuration = configuration

    async def _apply(self, connection: Any, configuration: Configuration) -> None:
        changes = plan(configuration.targets, self._beliefs.targets)
        await replace_problems(connection, dict(configuration.problems))
        await forget_healths(
            connection, [id_ for id_ in changes.stop if not self._is_bad(id_, configuration)]
        )
        for id_ in changes.stop:
            self._stop(id_)
        for target in changes.change:
            self._change(target)
        for count, target in enumerate(changes.start):
            self._start(target)
            await breathe(count)
        for id_ in self._beliefs.targets:
            if id_.provider in self._keys.mended:
                self._probes.probe_now(
                    id_
                )  # whether the row or our own key was mended: a block need not wait
        # What a target does for its purpose may have changed with any row.
        for count, id_ in enumerate(list(self._beliefs.targets)):
            self._probes.reschedule(id_)
            await breathe(count)

    def _remember(self, target: Target) -> None:
        self._beliefs.targets[target.id] = target
        if target.id.purpose is Purpose.EMBEDDINGS:
            self._beliefs.embedders[target.id.provider] = (target.embedding_space, target.fingerprint)

    def _start(self, target: Target) -> None:
        now, stored = self._now(), self._stored_healths.pop(target.id, None)
        # A belief from the future (somebody set the clock back) would make every new result an older one.
        ahead = stored is not None and stored.last_started_at is not None and stored.last_started_at > now
        if stored is None or ahead or stored.fingerprint != target.fingerprint:
            stored = Health(fingerprint=target.fingerprint)
        self._beliefs.begin(target.id, expire(stored, now))
        self._remember(target)
        self._probes.start(target)
        self._pending.mark(target.id)
        log.info("target_started", target=str(target.id), name=target.name, model=target.model)

    def _change(self, target: Target) -> None:
        before = self._beliefs.targets[target.id]
        self._remember(target)
        if before.fingerprint == target.fingerprint:
            self._probes.start(target)
            return
        self._beliefs.begin(target.id, Health(fingerprint=target.fingerprint))
        self._probes.start(target)
        self._probes.probe_now(target.id)
        self._pending.mark(target.id)
        log.info("target_changed", target=str(target.id), name=target.name, model=target.model)

    def _stop(self, id_: TargetId) -> None:
        self._probes.stop(id_)
        self._metrics.remove_target(id_)
        del self._beliefs.targets[id_]
        self._beliefs.healths.pop(id_, None)
        self._beliefs.last_outcomes.pop(id_, None)
        log.info("target_stopped", target=str(id_))

    def _is_bad(self, id_: TargetId, configuration: Configuration) -> bool:
        # A row that can't be read keeps its stored belief: it may be mended in a minute.
        return str(id_.provider) in configuration.problems

    def _export(self, configuration: Configuration) -> None:
        now = self._now()
        self._metrics.set_config_problems(len(configuration.problems))
        probed = {id_.provider: target for id_, target in self._beliefs.targets.items()}
        for ref, target in probed.items():
            self._metrics.set_provider(ref, target.provider, target.name)
        for id_, target in self._beliefs.targets.items():
            self._metrics.set_health(
                target, self._beliefs.health_word(id_, now), set(self._beliefs.blocks(id_, now))
            )
        for ref in self._exported - probed.keys():
            self._metrics.remove_provider(ref)
        self._exported = set(probed)
        for purpose in Purpose:
            export_purpose(self._beliefs, self._metrics, purpose, now)


async def breathe(count: int) -> None:
    """Let others do something now and then: thousands of targets must not hold up the probes that are due."""
    if count % 50 == 49:
        await asyncio.sleep(0)
