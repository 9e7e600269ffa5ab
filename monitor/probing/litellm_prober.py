"""Deep probes through litellm, as the application calls; the only importer of litellm and openai."""

import asyncio
import gc
import logging
import math
import os
import time
import warnings
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import httpx

from monitor.domain.target import Purpose
from monitor.probing.deadline import Deadline
from monitor.probing.destinations import Destinations
from monitor.probing.wire import EXCHANGE, Exchange, WireTransport

if TYPE_CHECKING:
    from openai import AsyncOpenAI

PROMPT = "Say OK."
SENTENCE = "The quick brown fox jumps over the lazy dog."
DOCUMENTS = ("A fox jumps over a dog.", "Bread is baked from flour.")
NO_KEY = (
    "none"  # an open server still gets a header; None would make litellm look for a key in the environment
)

# Set before the import: no price map, beta headers or .env file are fetched or read by it.
_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_MODE": "PRODUCTION",
    "DISABLE_AIOHTTP_TRANSPORT": "True",
}
_LOGGERS = (
    "LiteLLM",
    "LiteLLM Router",
    "LiteLLM Proxy",
    "openai",
    "openai._base_client",
    "httpx",
    "httpcore",
)
_REHEARSED = (
    b'data: {"id": "r", "object": "chat.completion.chunk", "created": 1, "model": "rehearsal", "choices": '
    b'[{"index": 0, "delta": {"content": "OK"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
)
# Routes on which litellm drives the openai package; all others take an HTTP handler.
_OPENAI_CLIENT = {
    Purpose.CHAT: frozenset({"openai"}),
    Purpose.EMBEDDINGS: frozenset({"openai", "together_ai", "mistral", "fireworks_ai"}),
    Purpose.RERANKING: frozenset[str](),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of a purpose, with all that litellm needs to make it.

    Attributes:
        model: as the provider names it.
        routed: the same with litellm's prefix.
    """

    purpose: Purpose
    provider: str
    model: str
    routed: str
    api_base: str | None
    key: str | None = field(repr=False)
    max_tokens: int
    streamed: bool
    stream_usage: bool
    generic: bool = False


@dataclass(slots=True, kw_only=True)
class Answer:
    """What litellm made of the answer, filled in while it comes.

    Attributes:
        usable: text, a vector or a ranking is there.
        reasoned: tokens of reasoning were seen.
        first_token_at: monotonic time of the first token of either kind.
        ended_at: monotonic time of the last byte, or None when it did not come.
        embedding: the vector.
        error: the exception that litellm raised, by its type's name; its text may hold a key.
    """

    usable: bool = False
    reasoned: bool = False
    first_token_at: float | None = None
    ended_at: float | None = None
    embedding: tuple[float, ...] | None = None
    error: str | None = None


class LitellmProber:
    """Makes single, bounded calls; litellm is imported once, when it is first needed or on `warm_up`."""

    def __init__(self, destinations: Destinations | None = None) -> None:
        self._destinations = destinations
        self._lock = asyncio.Lock()
        self._litellm: ModuleType | None = None
        self._openai: type[AsyncOpenAI] | None = None
        self._wire: WireTransport | None = None
        self._http: httpx.AsyncClient | None = None
        self._found: dict[str, object] = {}
        self._handler: object = None

    async def warm_up(self) -> None:
        """Import litellm in a thread (seconds of work) and set it up; later calls do nothing."""
        async with self._lock:
            if self._litellm is None:
                litellm, self._openai = await asyncio.to_thread(_import)
                await asyncio.to_thread(self._set_up, litellm)
                self._litellm = litellm

    async def call(self, call: Call, exchange: Exchange, deadline: Deadline, answer: Answer) -> None:
        """Make the call and note in `exchange` and `answer` what comes; only cancellation is raised."""
        await self.warm_up()
        EXCHANGE.set(exchange)
        try:
            match call.purpose:
                case Purpose.CHAT:
                    await self._chat(call, deadline, answer)
                case Purpose.EMBEDDINGS:
                    await self._embed(call, deadline, answer)
                case Purpose.RERANKING:
                    await self._rerank(call, deadline, answer)
            answer.ended_at = time.monotonic()
        except Exception as error:  # noqa: BLE001 - the edge: litellm raises anything, and it becomes a value
            answer.error = type(error).__name__

    def cost_usd(self, call: Call, tokens_in: int | None, tokens_out: int | None) -> float | None:
        """What a call cost by litellm's local price map; None when model, price or tokens are not known."""
        prices = getattr(self._litellm, "model_cost", {})
        price = prices.get(f"{call.provider}/{call.model}") or prices.get(call.model)
        if not price:
            return None
        if call.purpose is Purpose.RERANKING and price.get("input_cost_per_query"):
            return float(price["input_cost_per_query"])
        if tokens_in is None or price.get("input_cost_per_token") is None:
            return None
        if call.purpose is not Purpose.CHAT:
            return tokens_in * float(price["input_cost_per_token"])
        if tokens_out is None or price.get("output_cost_per_token") is None:
            return None
        return tokens_in * float(price["input_cost_per_token"]) + tokens_out * float(
            price["output_cost_per_token"]
        )

    async def close(self) -> None:
        """Close all connections, and leave litellm as it was found."""
        if self._wire is not None:
            await self._wire.shut()
        if self._litellm is not None and self._litellm.aclient_session is self._http:
            for name, value in self._found.items():
                setattr(self._litellm, name, value)

    def _set_up(self, litellm: Any) -> None:
        from litellm.caching.llm_caching_handler import LLMClientCache
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

        wire = WireTransport(self._destinations)
        handler = AsyncHTTPHandler(transport=wire, follow_redirects=False, timeout=httpx.Timeout(600.0))
        self._wire = wire
        self._handler = handler
        self._http = httpx.AsyncClient(
            transport=wire,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
            timeout=600.0,
        )

        class OnlyOurs(LLMClientCache):
            """Hands our handler to the routes that take no client (Cohere's chat)."""

            def get_cache(self, key: str, **kwargs: object) -> object:
                if str(key).startswith("async_httpx_client"):
                    return handler
                return cast("object", super().get_cache(key, **kwargs))  # type: ignore[no-untyped-call]

        ours = {
            "in_memory_llm_clients_cache": OnlyOurs(),
            "module_level_aclient": handler,
            "aclient_session": self._http,
            "disable_aiohttp_transport": True,
            "suppress_debug_info": True,
            "drop_params": True,
            "num_retries": 0,
            "disable_streaming_logging": True,
        }
        self._found = {name: getattr(litellm, name) for name in ours}
        for name, value in ours.items():
            setattr(litellm, name, value)

    async def _chat(self, call: Call, deadline: Deadline, answer: Answer) -> None:
        assert self._litellm is not None  # noqa: S101 - after warm_up
        options: dict[str, object] = (
            {"stream_options": {"include_usage": True}} if call.streamed and call.stream_usage else {}
        )
        stream: Any = await self._litellm.acompletion(
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=call.max_tokens,
            stream=call.streamed,
            **options,
            **self._arguments(call, deadline),
        )
        if not call.streamed:
            message = stream.choices[0].message if stream.choices else None
            answer.usable = bool((getattr(message, "content", None) or "").strip())
            answer.reasoned = bool(getattr(message, "reasoning_content", None))
            return
        async for chunk in stream:
            delta = chunk.choices[0].delta if chunk.choices else None
            text = getattr(delta, "content", None)
            reasoning = getattr(delta, "reasoning_content", None)
            if text or reasoning:
                if answer.first_token_at is None:
                    answer.first_token_at = time.monotonic()
                answer.usable = answer.usable or bool(text and text.strip())
                answer.reasoned = answer.reasoned or bool(reasoning)
                deadline.progress()

    async def _embed(self, call: Call, deadline: Deadline, answer: Answer) -> None:
        assert self._litellm is not None  # noqa: S101 - after warm_up
        response = await self._litellm.aembedding(input=[SENTENCE], **self._arguments(call, deadline))
        vector = response.data[0]["embedding"] if response.data else []
        numbers = tuple(float(number) for number in vector)
        answer.usable = bool(numbers) and all(map(math.isfinite, numbers)) and any(numbers)
        answer.embedding = numbers if answer.usable else None

    async def _rerank(self, call: Call, deadline: Deadline, answer: Answer) -> None:
        assert self._litellm is not None  # noqa: S101 - after warm_up
        response = await self._litellm.arerank(
            query=DOCUMENTS[0],
            documents=list(DOCUMENTS),
            top_n=len(DOCUMENTS),
            **self._arguments(call, deadline),
        )
        results = response.results or []
        answer.usable = bool(results) and all(
            isinstance(one.get("index"), int) and math.isfinite(one.get("relevance_score", math.nan))
            for one in results
        )

    def _arguments(self, call: Call, deadline: Deadline) -> dict[str, object]:
        key = call.key or NO_KEY
        arguments: dict[str, object] = {
            "model": call.routed,
            "custom_llm_provider": call.provider,
            "api_key": key,
            "timeout": deadline.limits.whole,
            "max_retries": 0,
            "num_retries": 0,
            "no-log": True,
        }
        if call.api_base is not None:
            arguments["api_base"] = call.api_base
        if call.provider in _OPENAI_CLIENT[call.purpose]:
            assert self._openai is not None  # noqa: S101 - after warm_up
            arguments["client"] = self._openai(
                api_key=key, base_url=call.api_base, http_client=self._http, max_retries=0
            )
        elif not call.generic:
            arguments["client"] = self._handler
        return arguments


class _NoTokenizer:
    """Stands where litellm's routes expect a tokenizer, for answers that do not tell their tokens."""

    def encode(self, *_: object, **__: object) -> list[int]:
        return []

    encode_ordinary = encode


def _import() -> tuple[ModuleType, "type[AsyncOpenAI]"]:
    # 400,000 objects come to stay. Each walk of the garbage collector over them takes half a second, in which
    # nothing else runs: there is none while they come, and none of them is walked over afterwards.
    collected = gc.isenabled()
    gc.disable()
    try:
        found = _import_quietly()
        gc.freeze()
    finally:
        if collected:
            gc.enable()
    return found


def _import_quietly() -> tuple[ModuleType, "type[AsyncOpenAI]"]:
    os.environ.update(_ENVIRONMENT)
    # It warns of its own use of pydantic, once a process, on our standard error.
    warnings.filterwarnings("ignore", module=r"litellm(\.|$)")
    warnings.filterwarnings("ignore", category=UserWarning, module=r"pydantic\._internal")
    import litellm
    from openai import AsyncOpenAI

    for name in _LOGGERS:
        # Their lines name addresses and repeat what providers say, keys included.
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False
    litellm.suppress_debug_info = True
    # It would load 40 MB of tokenizer; we count what the answer tells.
    litellm.disable_token_counter = True
    litellm.disable_hf_tokenizer_download = True  # it would ask a hub for the model of that name
    vars(litellm.main)["encoding"] = _NoTokenizer()
    asyncio.run(_rehearse(litellm, AsyncOpenAI))
    return litellm, AsyncOpenAI


async def _rehearse(litellm: Any, openai: "type[AsyncOpenAI]") -> None:
    """Make the first call, which imports for a second more, here and against a canned answer."""
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=_REHEARSED)
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as http:
        client = openai(api_key=NO_KEY, base_url="http://rehearsal.invalid/v1", http_client=http)
        stream = await litellm.acompletion(
            model="rehearsal",
            custom_llm_provider="openai",
            messages=[{"role": "user", "content": PROMPT}],
            api_base="http://rehearsal.invalid/v1",
            api_key=NO_KEY,
            client=client,
            stream=True,
            max_retries=0,
            **{"no-log": True},
        )
        async for _ in stream:
            continue
