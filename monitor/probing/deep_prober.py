"""Deep probes: a real request of the purpose, with the model that is served."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

from monitor.domain.classification import Evidence, Fault
from monitor.domain.outcome import Readings
from monitor.domain.target import ProbeKind, ProviderType, Purpose
from monitor.probing.answer import body_error, finish_reason, rate_limits, retry_after, usage
from monitor.probing.busy import Look, is_busy, look
from monitor.probing.deadline import Deadline, Limits, run_until
from monitor.probing.fetch import Fetcher
from monitor.probing.light_prober import LightProber
from monitor.probing.litellm_prober import Answer, Call, LitellmProber
from monitor.probing.observation import Observation, Request
from monitor.probing.wire import Exchange

NAME_THE_MODEL = "name the model in metadata.model"


class DeepProber:
    """Resolves the model, makes the call within its deadlines and gathers the evidence."""

    def __init__(
        self, litellm: LitellmProber, light: LightProber, fetcher: Fetcher, now: Callable[[], datetime]
    ) -> None:
        self._litellm = litellm
        self._light = light
        self._fetcher = fetcher
        self._now = now

    async def observe(self, request: Request) -> Observation:
        """One deep probe."""
        began = time.monotonic()
        entry, target = request.entry, request.target
        purpose = target.id.purpose
        provider = entry.litellm_providers.get(purpose) if purpose is not None else None
        if purpose is None or provider is None:
            return _ours("NotServed", f"{entry.name} is not called for {purpose or 'no purpose'}")
        if entry.needs_key and request.key is None:
            return _ours("NoKey", f"{entry.name} answers nobody without a key")
        model = await self._model(request, purpose)
        if isinstance(model, Observation):
            return model
        limits = await self._limits(request, model, began)
        call = Call(
            purpose=purpose,
            provider=provider,
            model=model,
            routed=entry.call_model(purpose, model, target.base_url),
            api_base=entry.call_base(purpose, target.base_url),
            key=request.key,
            max_tokens=target.probe.max_tokens,
            streamed=entry.streamed and purpose is Purpose.CHAT,
            stream_usage=entry.stream_usage,
            generic=entry.generic,
        )
        exchange = Exchange(
            host=urlsplit(call.api_base).hostname if call.api_base is not None else None,
            connect_timeout=limits.connect,
            timeout=limits.whole,
        )
        answer = Answer()
        busy = await self._run(request, call, exchange, limits, answer)
        if exchange.status == 404:
            self._light.forget_models(target.fingerprint)
        return self._observation(request, call, exchange, answer, began=began, busy=busy)

    async def _run(
        self, request: Request, call: Call, exchange: Exchange, limits: Limits, answer: Answer
    ) -> bool:
        """Make the call; whether the server was busy when it did not end in time."""
        deadline = Deadline(limits if call.streamed else replace(limits, first_token=limits.whole))
        first: asyncio.Task[Look | None] | None = None
        if request.entry.busy_counters is not None:
            wait = (deadline.at - deadline.started) / 2
            first = asyncio.get_running_loop().create_task(self._look_after(wait, request))
        try:
            work = self._litellm.call(call, exchange, deadline, answer)
            if await run_until(work, deadline):
                return False
            exchange.fault = Fault.STALLED if deadline.progressed else Fault.TIMEOUT
            if first is None or not first.done():
                return False
            return is_busy(first.result(), await look(self._fetcher, request))
        finally:
            if first is not None:
                first.cancel()

    async def _look_after(self, seconds: float, request: Request) -> Look | None:
        await asyncio.sleep(seconds)
        return await look(self._fetcher, request)

    async def _model(self, request: Request, purpose: Purpose) -> str | Observation:
        """The model to ask for, or the result that there is none."""
        target, entry = request.target, request.entry
        model = target.probe.model or target.model
        if model is not None:
            return model
        if target.id.provider.type is ProviderType.AI_SERVER:
            models, fetched = await self._light.models(request)
            if models is not None and len(models) == 1:
                return models[0]
            if fetched is not None and not fetched.ok:
                evidence = self._light.evidence(ProbeKind.DEEP, request, fetched, usable=False)
                if fetched.status not in {404, 405}:
                    return Observation(evidence=evidence, text="asked for its models")
        return entry.models.get(purpose) or _ours("NoModel", NAME_THE_MODEL)

    async def _limits(self, request: Request, model: str, began: float) -> Limits:
        """The times of the call: longer ones while the server says that the model is not in memory."""
        limits, policy = request.limits, request.policy
        if request.entry.loaded_path is not None and await self._light.is_loading(
            request, model, limits.connect
        ):
            whole = (request.target.probe.timeout or policy.timeout_loading).total_seconds()
            loading = policy.first_token_timeout_loading.total_seconds()
            limits = replace(limits, first_token=min(loading, whole), whole=whole)
        spent = time.monotonic() - began
        whole = max(limits.whole - spent, 0.05)
        return replace(limits, whole=whole, first_token=min(limits.first_token, whole))

    def _observation(
        self, request: Request, call: Call, exchange: Exchange, answer: Answer, *, began: float, busy: bool
    ) -> Observation:
        body = bytes(exchange.body) + exchange.tail
        refused = exchange.status is not None and exchange.status >= 400
        error = body_error(body, refused)
        told = usage(body) if not refused else None
        tokens_in = told.tokens_in if told else None
        tokens_out = told.tokens_out if told and call.purpose is Purpose.CHAT else None
        chat = call.purpose is Purpose.CHAT
        evidence = Evidence(
            kind=ProbeKind.DEEP,
            fault=exchange.fault,
            http_status=exchange.status,
            json_error=error.is_json,
            error_codes=error.codes,
            error_text=error.plain,
            usable=answer.usable and answer.error is None,
            streamed=call.streamed,
            finish_reason=finish_reason(body) if chat else None,
            hidden_reasoning=answer.reasoned or bool(tokens_out),
            model_named=request.target.model_named or request.target.probe.model is not None,
            server_busy=busy,
            descriptors_exhausted=exchange.descriptors_exhausted,
            own_fault=answer.error if not exchange.requests else None,
        )
        hosted = request.target.id.provider.type is ProviderType.API_KEY
        return Observation(
            evidence=evidence,
            latency_seconds=_since(began, answer.ended_at or exchange.ended_at),
            ttft_seconds=_since(began, answer.first_token_at),
            model=call.model,
            retry_after=retry_after(exchange.headers, body, self._now()) if refused else None,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            cost_usd=self._litellm.cost_usd(call, tokens_in, tokens_out) if hosted and not refused else None,
            readings=Readings(
                ratelimit_remaining=rate_limits(exchange.headers),
                tls_expires_at=exchange.tls_expires_at,
                embedding=answer.embedding,
            ),
            text=error.text or _malformed(exchange, answer),
        )


def _malformed(exchange: Exchange, answer: Answer) -> str:
    if exchange.requests == 0 and answer.error is not None:
        return f"litellm raised {answer.error} before it sent anything"
    if exchange.fault is None and answer.error is not None:
        return f"litellm cannot read it ({answer.error})"
    return ""


def _since(began: float, at: float | None) -> float | None:
    return at - began if at is not None else None


def _ours(fault: str, text: str) -> Observation:
    return Observation.ours(ProbeKind.DEEP, fault, text)
