"""Who serves a purpose, for an application that asks before every call."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import structlog

from monitor.domain.provider import Purpose
from monitor.domain.reports import ReportOutcome
from monitor.domain.target import Target
from monitor.integration.configuration import ProviderConfiguration
from monitor.integration.errors import DatabaseAway, IntegrationClosed, NotPrepared
from monitor.integration.fallback import find_fallbacks
from monitor.integration.loading import Store, Unusable, load, metadata_addresses_allowed
from monitor.integration.models import ask_models
from monitor.integration.probes import test_row
from monitor.integration.reports import Reports, target_of
from monitor.integration.watch import Watch
from monitor.probing.catalog import load_catalog
from monitor.storage.errors import STORE_ERRORS
from monitor.storage.served import Served, read_proved_model, read_served

ANSWER_SECONDS: Final = 3.0  # for one statement of ours
LOAD_SECONDS: Final = 6.0  # for all of a load
LIST_SECONDS: Final = 2.0  # for a server's own list of models

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Entry:
    configuration: ProviderConfiguration | None
    epoch: int
    read_at: float


@dataclass(frozen=True, slots=True)
class _Flight:
    epoch: int
    task: asyncio.Task[_Entry]


class LLMProviderIntegration:
    """Answers from memory while that is as good as asking the database, and asks it otherwise.

    Args:
        manager: holds the application's pool and the keys of its keys.
    """

    def __init__(self, manager: Store) -> None:
        self._manager = manager
        self._catalog = load_catalog()
        self._watch = Watch(manager.pool)
        self._reports = Reports(manager.pool)
        self._entries: dict[str, _Entry] = {}
        self._flights: dict[Purpose, _Flight] = {}
        self._told: dict[Purpose, str] = {}
        self._models: dict[str, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def get_active_llm_provider(self, purpose: str) -> ProviderConfiguration | None:
        """Who serves a purpose now; None when nobody does, or nobody who can be called.

        Args:
            purpose: `chat`, `embeddings` or `reranking`; None comes back for anything else.

        Raises:
            DatabaseAway: the database does not answer, and what was read last is older than 10 s.
            IntegrationClosed: the pool or its event loop has ended.
            NotPrepared: the tables are missing, or this role may not read them.
        """
        loop = asyncio.get_running_loop()
        entry = self._entries.get(purpose) if isinstance(purpose, str) else None
        if entry is not None and loop is self._loop:
            if self._watch.is_fresh(entry.epoch, entry.read_at, loop.time()):
                return entry.configuration
        elif not isinstance(purpose, str) or purpose not in _PURPOSES:
            log.warning("purpose_unknown", purpose=str(purpose)[:40], known=", ".join(Purpose))
            return None
        return await self._ask(Purpose(purpose), loop)

    async def get_fallback_provider(self, config: ProviderConfiguration) -> ProviderConfiguration | None:
        """The first other candidate that is fit to serve in the place of one that does not answer.

        As the daemon believes; the fallback of the purpose's row where it believes nothing. For embeddings
        only one of the same vector space. Asks the database each time.

        Returns:
            None when there is none.

        Raises:
            DatabaseAway: the database does not answer.
            IntegrationClosed: the pool or its event loop has ended.
            NotPrepared: the tables are missing, or this role may not read them.
        """
        purpose = Purpose(config.purpose)
        self._check_open(asyncio.get_running_loop())
        try:
            async with asyncio.timeout(LOAD_SECONDS), self._connection() as connection:
                refs = await find_fallbacks(connection, purpose, config.ref)
                others = [await read_served(connection, purpose, ref) for ref in refs]
            for served in others:
                if served is not None and (found := await self._read(served, purpose)) is not None:
                    return found
        except asyncpg.SyntaxOrAccessError as error:
            raise _not_prepared(error) from error
        except STORE_ERRORS as error:
            raise DatabaseAway(
                f"the database is away ({type(error).__name__}): whom to turn to is not known"
            ) from error
        return None

    async def test_provider(self, config: ProviderConfiguration) -> tuple[bool, str]:
        """Probe a provider's row now, for the purpose that it was asked for.

        Returns:
            Whether it answers as it should, and what the probe showed, for a person; no key in it.

        Raises:
            DatabaseAway: the database does not answer.
            IntegrationClosed: the pool or its event loop has ended.
            NotPrepared: the tables are missing, or this role may not read them.
        """
        self._check_open(asyncio.get_running_loop())
        try:
            tested = await test_row(self._manager, config.ref, Purpose(config.purpose))
        except asyncpg.SyntaxOrAccessError as error:
            raise _not_prepared(error) from error
        except STORE_ERRORS as error:
            raise DatabaseAway(
                f"the database is away ({type(error).__name__}): {config.ref} can't be looked up"
            ) from error
        return tested.success, tested.message

    def report_failure(self, config: ProviderConfiguration, error: BaseException) -> None:
        """Tell the daemon that a call of this provider has failed; from any thread, in microseconds.

        Nothing is told where the failure is the caller's own: a 4xx, a limit, a cancellation.
        """
        target = target_of(config.provider_type, config.provider_id, config.purpose)
        if target is not None:
            self._reports.failure(target, error)

    def report_success(self, config: ProviderConfiguration) -> None:
        """Tell that a call was answered, which matters only beside failures; from any thread."""
        target = target_of(config.provider_type, config.provider_id, config.purpose)
        if target is not None:
            self._reports.add(target, ReportOutcome.OK)

    def litellm_callback(self) -> Any:
        """A callback that reports every call made with `to_litellm_config()`.

        `litellm.callbacks = [integration.litellm_callback()]`, once.
        """
        from monitor.integration.litellm_callback import ReportingCallback

        return ReportingCallback(self._reports)

    def clear_cache(self) -> None:
        """Forget everything: the next call asks the database."""
        self._watch.void()
        self._models.clear()

    async def close(self) -> None:
        """Give the listening connection back to the pool; what asks afterwards meets IntegrationClosed."""
        self._closed = True
        self._entries.clear()
        await self._watch.stop()
        await self._reports.close()
        for flight in self._flights.values():
            flight.task.cancel()

    async def _ask(self, purpose: Purpose, loop: asyncio.AbstractEventLoop) -> ProviderConfiguration | None:
        self._check_open(loop)
        self._watch.start()
        flight = self._flights.get(purpose)
        if flight is None or flight.epoch != self._watch.epoch or flight.task.done():
            # One that began before the last change may bring what was before it: nobody new waits for that.
            # One that has ended is left over from somebody who gave up waiting.
            task = loop.create_task(self._load(purpose), name=f"load {purpose}")
            task.add_done_callback(_heed)
            flight = self._flights[purpose] = _Flight(self._watch.epoch, task)
        await asyncio.wait({flight.task}, timeout=LOAD_SECONDS)
        if self._flights.get(purpose) is flight:
            del self._flights[purpose]
        if flight.task.cancel() or flight.task.cancelled():
            self._check_open(loop)
            return self._tolerate(purpose, TimeoutError(), loop.time())
        try:
            entry = flight.task.result()
        except asyncpg.SyntaxOrAccessError as error:
            raise _not_prepared(error) from error
        except STORE_ERRORS as error:
            self._check_open(loop)
            return self._tolerate(purpose, error, loop.time())
        if entry.epoch == self._watch.epoch:
            self._entries[purpose] = entry
        return entry.configuration

    def _tolerate(self, purpose: Purpose, error: Exception, now: float) -> ProviderConfiguration | None:
        entry = self._entries.get(purpose)
        if entry is not None and self._watch.is_tolerable(entry.epoch, entry.read_at, now):
            return entry.configuration
        raise DatabaseAway(
            f"the database is away ({type(error).__name__}), and what was read last of {purpose} is too old: "
            "look after the database, or catch DatabaseAway"
        ) from error

    def _check_open(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise IntegrationClosed(
                "this integration belongs to another event loop: build the pool, the manager and the "
                "integration in the loop that uses them"
            )
        if self._closed or self._manager.pool.is_closing():
            raise IntegrationClosed("the pool is closed: build a new pool, manager and integration")

    async def _load(self, purpose: Purpose) -> _Entry:
        epoch, read_at = self._watch.epoch, asyncio.get_running_loop().time()
        async with self._connection() as connection:
            served = await read_served(connection, purpose, timeout=ANSWER_SECONDS)
        configuration: ProviderConfiguration | None = None
        problem = f"{purpose}: no provider is chosen" if served is None else ""
        if served is not None:
            try:
                configuration = await load(self._manager, self._catalog, served, purpose, self._find_model)
            except Unusable as error:
                problem = str(error)
            else:
                if configuration.model is None:
                    problem = (
                        f"{configuration.ref}: name the model in metadata.model: the server does not tell it"
                    )
        self._tell(purpose, problem, usable=configuration is not None or served is None)
        return _Entry(configuration, epoch, read_at)

    async def _read(self, served: Served, purpose: Purpose) -> ProviderConfiguration | None:
        try:
            return await load(self._manager, self._catalog, served, purpose, self._find_model)
        except Unusable as problem:
            log.error("provider_unusable", purpose=str(purpose), problem=str(problem))  # noqa: TRY400
            return None

    def _tell(self, purpose: Purpose, problem: str, *, usable: bool) -> None:
        if problem and self._told.get(purpose) != problem:
            if usable:
                log.warning("provider_incomplete", purpose=str(purpose), problem=problem)
            else:
                log.error("provider_unusable", purpose=str(purpose), problem=problem)
        self._told[purpose] = problem

    async def _find_model(self, target: Target, key: str | None) -> str | None:
        """The model of a server whose row names none: of its last good probe, else its list's only one."""
        if (known := self._models.get(target.fingerprint)) is not None:
            return known
        found: str | None = None
        if target.probe.model is None:
            async with self._connection() as connection:
                found = await read_proved_model(connection, target, timeout=ANSWER_SECONDS)
        if found is None:
            listed = await ask_models(
                target, key, LIST_SECONDS, allow_metadata_addresses=metadata_addresses_allowed()
            )
            found = listed[0] if listed is not None and len(listed) == 1 else None
        if found is not None:
            self._models[target.fingerprint] = found
        return found

    def _connection(self) -> Any:
        return self._manager.pool.acquire(timeout=ANSWER_SECONDS)


def _not_prepared(error: Exception) -> NotPrepared:
    return NotPrepared(
        f"the tables can't be read ({type(error).__name__}): "
        "await manager.initialize_defaults() first, as their owner, or grant this role to read them"
    )


_PURPOSES = frozenset(str(purpose) for purpose in Purpose)


def _heed(task: asyncio.Task[_Entry]) -> None:
    # Whoever waited may have been cancelled meanwhile: nobody else looks at what it raised.
    if not task.cancelled():
        task.exception()
