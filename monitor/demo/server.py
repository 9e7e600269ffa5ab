"""A small OpenAI-compatible server with a switch to break it and to mend it."""

import asyncio
import json
import random
import re
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any

from aiohttp import web

MODEL = "demo-model"
_WORDS = tuple(
    re.findall(r"\S+", "All is well here. This is a small demo server, and all of it was made up.")
)
_LIST_SECONDS = (0.004, 0.012)
_FIRST_TOKEN_SECONDS = (0.04, 0.09)
_TOKEN_SECONDS = (0.008, 0.02)
_MOST_TOKENS = 256


class Fault(StrEnum):
    """How the server is broken."""

    ERROR = "answers every request with an error (HTTP 503)"
    HANG_UP = "hangs up on every request"


class DemoServer:
    """Serves one model on a free loopback port, inside the running event loop.

    Attributes:
        name: shown in its answers.
        fault: how it is broken; None while it works.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.fault: Fault | None = None
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen on a port that is free now."""
        app = web.Application(middlewares=[self._break])
        app.add_routes(
            [
                web.get("/v1/models", self._models),
                web.post("/v1/chat/completions", self._chat),
                web.post("/break", self._switch),
                web.post("/mend", self._switch),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close every connection."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _break(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.fault is None or request.path in ("/break", "/mend"):
            return await handler(request)
        if self.fault is Fault.HANG_UP and request.transport is not None:
            request.transport.abort()
        return _error(503, f"{self.name} is out of order", "service_unavailable")

    async def _switch(self, request: web.Request) -> web.Response:
        self.fault = Fault.ERROR if request.path == "/break" else None
        return web.json_response({"server": self.name, "broken": self.fault is not None})

    async def _models(self, _: web.Request) -> web.Response:
        await _work(_LIST_SECONDS)
        model = {"id": MODEL, "object": "model", "created": 0, "owned_by": self.name}
        return web.json_response({"object": "list", "data": [model]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
            wanted = int(body.get("max_tokens") or len(_WORDS))
        except (ValueError, TypeError, AttributeError):
            return _error(400, "the body has to be a JSON object", "invalid_request_error")
        if body.get("model") != MODEL:
            return _error(404, f"the only model here is {MODEL}", "model_not_found")
        words = _WORDS[: max(1, min(wanted, _MOST_TOKENS))]
        reason = "length" if len(words) < len(_WORDS) else "stop"
        await _work(_FIRST_TOKEN_SECONDS)
        if body.get("stream"):
            return await self._stream(request, words, reason)
        for _ in words:
            await _work(_TOKEN_SECONDS)
        message = {"role": "assistant", "content": " ".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        usage = {"prompt_tokens": 5, "completion_tokens": len(words), "total_tokens": 5 + len(words)}
        return web.json_response(_completion("chat.completion", choice) | {"usage": usage})

    async def _stream(self, request: web.Request, words: tuple[str, ...], reason: str) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        for number, word in enumerate(words):
            delta = {"content": word if number == 0 else f" {word}"} | (
                {} if number else {"role": "assistant"}
            )
            await _send(response, {"index": 0, "delta": delta, "finish_reason": None})
            await _work(_TOKEN_SECONDS)
            if self.fault is not None and request.transport is not None:
                request.transport.abort()
                return response
        await _send(response, {"index": 0, "delta": {}, "finish_reason": reason})
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response


async def _send(response: web.StreamResponse, choice: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(_completion('chat.completion.chunk', choice))}\n\n".encode())


def _completion(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-demo", "object": kind, "created": 0, "model": MODEL, "choices": [choice]}


def _error(status: int, message: str, code: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": code, "code": code}}, status=status)


async def _work(seconds: tuple[float, float]) -> None:
    await asyncio.sleep(random.uniform(*seconds))  # noqa: S311 - a latency, no secret
