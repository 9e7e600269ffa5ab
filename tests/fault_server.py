"""A provider of our own that plays every fault, in-process or as `python -m tests.fault_server --port 0`.

A fault is chosen for all by `POST /fault {"name": ..., "scope": "deep" | "light" | "all", "seconds": ...}`,
or for one request by its model: `fault-NAME`. Paths count by their end, so any prefix makes any provider's
address.
"""

import argparse
import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Self

from aiohttp import web

from tests.fault_answers import FAULT_ANSWERS, plain_answer, shape_of, stream_answer

FIREWALL_PAGE = "<html><head><title>Access denied</title></head><body><h1>403</h1>Blocked.</body></html>"
TRANSPORT_FAULTS = frozenset(
    {
        "hang_headers",
        "hang_stream",
        "cut_stream",
        "no_finish",
        "error_in_stream",
        "empty_200",
        "empty_stream",
        "reasoning_only",
        "slow_first_token",
        "wrong_type",
        "endless",
        "garbage",
        "redirect",
        "reset",
        "echo_key",
    }
)


@dataclass(slots=True)
class Seen:
    """One request that the server saw."""

    method: str
    path: str
    model: str | None
    key: str | None
    fields: frozenset[str] = frozenset()


@dataclass(slots=True)
class FaultServer:
    """The server and what it plays; `async with FaultServer() as server` starts and ends it."""

    models: list[str] = field(default_factory=lambda: ["m1", "vendor/m1"])
    keys: set[str] | None = None
    redirect_to: str = ""
    tls: ssl.SSLContext | None = None
    fault: str | None = None
    scope: str = "deep"
    seconds: float = 30.0
    busy: bool = False
    balance_usd: float = 3.5
    loaded: list[str] = field(default_factory=lambda: ["m1"])
    seen: list[Seen] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    port: int = 0
    _generated: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def deep_requests(self) -> list[Seen]:
        return [one for one in self.seen if one.method == "POST"]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int | None = None) -> None:
        app = web.Application(client_max_size=4 << 20)
        app.router.add_post("/fault", self._control)
        app.router.add_get("/requests", self._requests)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, "127.0.0.1", self.port if port is None else port, ssl_context=self.tls
        )
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def play(self, fault: str | None, *, scope: str = "deep", seconds: float = 30.0) -> None:
        if fault is not None and fault not in TRANSPORT_FAULTS | FAULT_ANSWERS.keys():
            raise ValueError(f"no fault {fault!r}: {sorted(TRANSPORT_FAULTS | FAULT_ANSWERS.keys())}")
        self.fault, self.scope, self.seconds = fault, scope, seconds

    async def _control(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        try:
            self.play(
                wanted.get("name"), scope=wanted.get("scope", "deep"), seconds=wanted.get("seconds", 30.0)
            )
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"name": self.fault})

    async def _requests(self, _: web.Request) -> web.Response:
        return web.json_response(
            [{"method": one.method, "path": one.path, "model": one.model} for one in self.seen]
        )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = {}
        if request.method == "POST":
            body = json.loads(await request.read() or b"{}")
        key = _key(request)
        model = str(body.get("model") or _model_in_path(request.path) or "") or None
        self.seen.append(Seen(request.method, request.path, model, key, frozenset(body)))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answer(request, body, model, key)
        finally:
            self.under_way -= 1

    async def _answer(
        self, request: web.Request, body: dict[str, Any], model: str | None, key: str | None
    ) -> web.StreamResponse:
        fault = self._fault_for(request, model)
        if fault in FAULT_ANSWERS:
            return self._refuse(request, fault, model or "")
        if fault is not None and fault not in {"no_finish", "reasoning_only"}:
            played = await self._play(request, fault, key)
            if played is not None:
                return played
        if (
            self.keys is not None
            and key not in self.keys
            and not request.path.endswith(("/health", "/metrics"))
        ):
            return self._refuse(request, "401", "")
        if request.method == "GET":
            return self._look(request)
        if model is not None and not model.startswith("fault-") and not self._has(model):
            return self._refuse(request, "404_model", model)
        return await self._infer(request, body, model or "m1", fault)

    def _has(self, model: str) -> bool:
        # Fireworks puts folders of its own before a model's name.
        return model.rpartition("/")[2] in {one.rpartition("/")[2] for one in self.models}

    def _fault_for(self, request: web.Request, model: str | None) -> str | None:
        if model is not None and model.startswith("fault-"):
            return model.removeprefix("fault-")
        deep = request.method == "POST"
        counters = request.path.endswith(("/metrics", "/slots", "/api/ps"))
        if self.fault is None or counters or self.scope not in {"all", "deep" if deep else "light"}:
            return None
        return self.fault

    def _refuse(self, request: web.Request, fault: str, model: str) -> web.Response:
        answer = FAULT_ANSWERS[fault]
        headers = dict(answer.headers)
        if "retry-after" in headers and headers["retry-after"] == "DATE":
            headers["retry-after"] = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        if answer.html:
            return web.Response(status=answer.status, text=FIREWALL_PAGE, content_type="text/html")
        value = answer.body(shape_of(request.path), model)
        return web.json_response(value, status=answer.status, headers=headers)

    async def _play(self, request: web.Request, fault: str, key: str | None) -> web.StreamResponse | None:
        match fault:
            case "hang_headers":
                await asyncio.sleep(self.seconds)
            case "reset":
                _reset(request)
                return web.Response()
            case "garbage":
                assert request.transport is not None
                request.transport.write(b"\x00\x01 this is not HTTP \xff\xfe\r\n\r\n")
                request.transport.close()
                return web.Response()
            case "redirect":
                return web.Response(status=307, headers={"location": f"{self.redirect_to}{request.path}"})
            case "echo_key":
                error = {
                    "error": {"message": f"Incorrect API key provided: {key}.", "code": "invalid_api_key"}
                }
                return web.json_response(error, status=401)
            case "wrong_type":
                return web.Response(text=FIREWALL_PAGE, content_type="text/html")
            case "empty_200":
                return web.Response(content_type="application/json")
            case _:
                return await self._broken_stream(request, fault)
        return None

    async def _broken_stream(self, request: web.Request, fault: str) -> web.StreamResponse | None:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        pieces = stream_answer(shape_of(request.path), "m1", finish=True, reasoning=False)
        await response.prepare(request)
        match fault:
            case "slow_first_token":
                await asyncio.sleep(self.seconds)
                for piece in pieces:
                    await response.write(piece)
            case "hang_stream":
                await response.write(b"".join(pieces[:3]))
                await asyncio.sleep(self.seconds)
            case "cut_stream":
                await response.write(b"".join(pieces[:3]))
                await asyncio.sleep(0.02)
                _reset(request)
            case "empty_stream":
                await response.write(b"data: [DONE]\n\n")
            case "error_in_stream":
                await response.write(b"".join(pieces[:2]))
                await response.write(b'data: {"error": {"message": "upstream gave up", "code": 502}}\n\n')
            case "endless":
                while True:
                    await response.write(b": " + b"x" * 65536 + b"\n\n")
            case _:
                raise AssertionError(fault)
        return response

    def _look(self, request: web.Request) -> web.Response:
        path = request.path
        if path.endswith("/metrics"):
            self._generated += 7 if self.busy else 0
            lines = (
                f'vllm:generation_tokens_total{{model_name="m1"}} {self._generated}',
                f'vllm:prompt_tokens_total{{model_name="m1"}} {self._generated}',
                f'vllm:num_requests_running{{model_name="m1"}} {self.under_way - 1}',
            )
            return web.Response(text="\n".join(lines) + "\n")
        if path.endswith("/slots"):
            busy = self.busy
            return web.json_response(
                [{"id": 0, "id_task": 1, "is_processing": busy, "next_token": {"n_decoded": 0}}]
            )
        if path.endswith("/health"):
            return web.Response()
        if path.endswith("/api/ps"):
            return web.json_response({"models": [{"name": name, "model": name} for name in self.loaded]})
        if path.endswith("/api/tags"):
            return web.json_response({"models": [{"name": f"{name}:latest"} for name in self.models]})
        if path.endswith("/key"):
            return web.json_response({"data": {"label": "sk-or-v1-abc...def", "limit_remaining": 7.25}})
        if path.endswith("/user/balance"):
            balance = {"currency": "USD", "total_balance": f"{self.balance_usd:.2f}"}
            return web.json_response({"is_available": True, "balance_infos": [balance]})
        if path.endswith("/v1beta/models"):
            return web.json_response({"models": [{"name": f"models/{name}"} for name in self.models]})
        if path.endswith("/models"):
            listed = [{"id": name, "object": "model"} for name in self.models]
            return web.json_response(
                {"object": "list", "data": listed}, headers={"x-ratelimit-remaining-requests": "42"}
            )
        return web.json_response({"detail": "Not Found"}, status=404)

    async def _infer(
        self, request: web.Request, body: dict[str, Any], model: str, fault: str | None
    ) -> web.StreamResponse:
        shape = shape_of(request.path)
        streamed = bool(body.get("stream")) or "stream" in request.path.rpartition(":")[2]
        if not streamed or shape in {"embeddings", "rerank"}:
            return web.json_response(plain_answer(shape, request.path, model))
        response = web.StreamResponse(
            headers={"content-type": "text/event-stream", "x-ratelimit-remaining-tokens": "1000"}
        )
        await response.prepare(request)
        pieces = stream_answer(shape, model, finish=fault != "no_finish", reasoning=fault == "reasoning_only")
        for piece in pieces:
            await response.write(piece)
        return response


def _key(request: web.Request) -> str | None:
    bearer = request.headers.get("authorization", "")
    for value in (
        bearer.removeprefix("Bearer ").removeprefix("bearer "),
        request.headers.get("x-api-key"),
        request.headers.get("x-goog-api-key"),
        request.query.get("key"),
    ):
        if value:
            return value
    return None


def _model_in_path(path: str) -> str | None:
    _, found, rest = path.partition("/models/")
    return rest.partition(":")[0] if found else None


def _reset(request: web.Request) -> None:
    assert request.transport is not None
    peer: socket.socket = request.transport.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


async def serve(
    port: int, announce: Callable[[int], Awaitable[None] | None], keys: set[str] | None = None
) -> None:
    async with FaultServer(keys=keys) as server:
        await server.stop()
        await server.start(port)
        announce(server.port)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A provider that plays every fault")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", action="append", help="the only key that is accepted; may be given again")
    arguments = parser.parse_args()
    keys = set(arguments.key) if arguments.key else None
    asyncio.run(serve(arguments.port, lambda port: print(port, flush=True), keys))


if __name__ == "__main__":
    main()
