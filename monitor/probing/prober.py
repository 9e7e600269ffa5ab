"""Makes one probe of one target, in bounded numbers and bounded time, and always has a result."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import structlog

from monitor.domain.classification import Evidence, explain
from monitor.domain.outcome import Outcome, ProbeResult
from monitor.domain.policy import Policy
from monitor.domain.target import KeyringUnfit, KeyUndecryptable, ModelName, ProbeKind, SealedKey, Target
from monitor.probing.deadline import Limits
from monitor.probing.deep_prober import DeepProber
from monitor.probing.destinations import Destinations
from monitor.probing.fetch import Fetcher
from monitor.probing.light_prober import LightProber
from monitor.probing.litellm_prober import LitellmProber
from monitor.probing.loop_delay import LoopDelay
from monitor.probing.observation import Observation, Request
from monitor.probing.redaction import redact
from monitor.probing.result_id import new_result_id

log = structlog.get_logger()


class Prober:
    """The door of this package.

    Args:
        unseal: opens a stored key; raises KeyUndecryptable when it cannot.
        now: the wall clock, aware UTC.
        overall_limit: probes of one kind under way at once.
        upstream_limit: the same per upstream (scheme, host and port).
        destinations: where it may go; None for everywhere but metadata services.
    """

    def __init__(
        self,
        *,
        unseal: Callable[[SealedKey], str],
        now: Callable[[], datetime],
        overall_limit: int = 128,
        upstream_limit: int = 16,
        destinations: Destinations | None = None,
    ) -> None:
        self._unseal = unseal
        self._now = now
        # Each kind has its own: light probes that hang must not take the place of those that judge.
        self._overall = {kind: asyncio.Semaphore(overall_limit) for kind in ProbeKind}
        self._upstream_limit = upstream_limit
        self._upstreams: dict[str, _Upstream] = {}
        self._delay = LoopDelay()
        self._litellm = LitellmProber(destinations)
        self._fetcher = Fetcher(destinations)
        self._light = LightProber(self._fetcher, now)
        self._deep = DeepProber(self._litellm, self._light, self._fetcher, now)

    async def start(self) -> None:
        """Open what probes share; litellm is imported by `warm_up` or the first deep probe."""
        self._delay.start()
        await self._fetcher.start()

    async def warm_up(self) -> None:
        """Import litellm in a thread, off the start-up path."""
        await self._litellm.warm_up()

    async def close(self) -> None:
        """Close all connections."""
        await self._delay.stop()
        await self._fetcher.close()
        await self._litellm.close()

    async def probe(self, target: Target, kind: ProbeKind, policy: Policy) -> ProbeResult:
        """Probe the target once; whatever happens is the result, only cancellation is raised."""
        async with self._slot(f"{kind} {_upstream(target)}"), self._overall[kind]:
            if kind is ProbeKind.DEEP:
                await self._import()
            started_at, began = self._now(), time.monotonic()
            observation = await self._observe(target, kind, policy)
            elapsed = timedelta(seconds=time.monotonic() - began)
        rule = explain(observation.evidence)
        ended_at = (
            started_at + elapsed
        )  # by the monotonic clock: a stepped wall clock makes no negative probe
        return ProbeResult(
            id=new_result_id(int(started_at.timestamp() * 1000)),
            target=target.id,
            fingerprint=target.fingerprint,
            kind=kind,
            outcome=rule.outcome,
            started_at=started_at,
            ended_at=ended_at,
            latency_seconds=observation.latency_seconds,
            ttft_seconds=observation.ttft_seconds,
            model=ModelName(observation.model) if observation.model is not None else None,
            http_status=observation.evidence.http_status,
            retry_after=observation.retry_after,
            tokens_in=observation.tokens_in,
            tokens_out=observation.tokens_out,
            cost_usd=observation.cost_usd,
            detail=_detail(rule.outcome, rule.why, observation),
            readings=observation.readings,
        )

    async def _import(self) -> None:
        """Spend the seconds of litellm's import before a probe's time begins."""
        try:
            await self._litellm.warm_up()
        except Exception as error:  # the probe meets it again and makes a result of it
            log.exception("litellm_import_failed", error=type(error).__name__)

    async def _observe(self, target: Target, kind: ProbeKind, policy: Policy) -> Observation:
        loop_began = asyncio.get_running_loop().time()
        key: str | None = None
        whole = (target.probe.timeout or policy.timeout).total_seconds()
        try:
            if target.key is not None:
                key = self._unseal(target.key)
            request = Request(target=target, key=key, policy=policy, limits=_limits(target, kind, policy))
            prober = self._deep if kind is ProbeKind.DEEP else self._light
            observation = await prober.observe(request)
        except KeyringUnfit:
            return Observation(evidence=Evidence(kind=kind, keyring_unfit=True))
        except KeyUndecryptable:
            return Observation(evidence=Evidence(kind=kind, key_unreadable=True))
        except Exception as error:  # noqa: BLE001 - the edge: our own defects are results too
            return Observation.ours(kind, type(error).__name__, f"{type(error).__name__} in the monitor")
        if self._delay.late_since(loop_began) > whole / 2:
            observation = replace(observation, evidence=replace(observation.evidence, loop_late=True))
        return replace(observation, text=redact(observation.text, key)) if observation.text else observation

    @asynccontextmanager
    async def _slot(self, name: str) -> AsyncIterator[None]:
        upstream = self._upstreams.setdefault(name, _Upstream(asyncio.Semaphore(self._upstream_limit)))
        upstream.users += 1
        try:
            async with upstream.semaphore:
                yield
        finally:
            upstream.users -= 1
            if not upstream.users:
                del self._upstreams[name]


@dataclass(slots=True)
class _Upstream:
    semaphore: asyncio.Semaphore
    users: int = 0


def _upstream(target: Target) -> str:
    address = target.base_url or target.entry.api_base or target.provider
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower() if parts.netloc else address


def _limits(target: Target, kind: ProbeKind, policy: Policy) -> Limits:
    whole = (target.probe.timeout or policy.timeout).total_seconds()
    if kind is ProbeKind.LIGHT:
        # A free GET has nothing to compute: as long as a first token may take is long.
        whole = min(whole, policy.first_token_timeout.total_seconds())
    return Limits(
        connect=min(policy.connect_timeout.total_seconds(), whole),
        first_token=min(policy.first_token_timeout.total_seconds(), whole),
        stall=policy.stall_timeout.total_seconds(),
        whole=whole,
    )


def _detail(outcome: Outcome, why: str, observation: Observation) -> str:
    if outcome is Outcome.OK:
        return ""
    status = observation.evidence.http_status
    head = f"HTTP {status}: {why}" if status is not None else why
    fault = observation.evidence.fault
    if fault is not None:
        head = f"{head} ({fault})"
    return redact(f"{head}: {observation.text}" if observation.text else head)
