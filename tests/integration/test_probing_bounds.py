"""What a prober never exceeds, whatever is played to it."""

import asyncio
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from monitor.domain.outcome import Outcome, ProbeResult
from monitor.domain.policy import Policy
from monitor.domain.target import KeyUndecryptable, ProbeKind, SealedKey
from monitor.probing.deadline import CancelledFromWithinError, Deadline, Limits, run_until
from monitor.probing.prober import Prober
from monitor.probing.wire import EXCHANGE, Exchange, RequestRefused, WireTransport
from tests.fault_server import FaultServer
from tests.targets import (
    LITELLM_WARNS,
    PLANTED_KEY,
    provider_target,
    running_prober,
    server_target,
    short_policy,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), *LITELLM_WARNS]

DEEP = ProbeKind.DEEP
POLICY = short_policy()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def prober() -> AsyncIterator[Prober]:
    async with running_prober() as prober:
        yield prober


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


async def test_one_upstream_gets_no_more_probes_at_once_than_it_may(server: FaultServer) -> None:
    server.play("slow_first_token", seconds=0.15)
    async with running_prober(upstream_limit=2) as prober:
        targets = [server_target("openai-compatible", server.url, number=number) for number in range(6)]
        results = await asyncio.gather(*(prober.probe(target, DEEP, POLICY) for target in targets))
    assert server.most_under_way == 2
    assert [one.outcome for one in results] == [Outcome.OK] * 6
    # Waiting for a turn is no latency of the target's.
    starts = sorted(one.started_at for one in results)
    assert starts[-1] - starts[0] > timedelta(seconds=0.25)
    assert all(one.latency_seconds is not None and one.latency_seconds < 0.45 for one in results)


async def test_light_probes_that_hang_do_not_keep_a_deep_one_waiting(server: FaultServer) -> None:
    server.play("hang_headers", scope="light", seconds=10)
    async with running_prober(overall_limit=1, upstream_limit=1) as prober:
        target = server_target("openai-compatible", server.url, number=1)
        hanging = [asyncio.create_task(prober.probe(target, ProbeKind.LIGHT, POLICY)) for _ in range(3)]
        await asyncio.sleep(0.1)
        deep = await prober.probe(target, DEEP, POLICY)
        assert deep.outcome is Outcome.OK
        assert not any(one.done() for one in hanging)
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_all_upstreams_together_get_no_more_than_the_prober_may(server: FaultServer) -> None:
    async with FaultServer() as other, running_prober(overall_limit=1) as prober:
        for one in (server, other):
            one.play("slow_first_token", seconds=0.1)
        targets = [server_target("openai-compatible", one.url, number=1) for one in (server, other)]
        results = await asyncio.gather(*(prober.probe(target, DEEP, POLICY) for target in targets))
    first, second = sorted(results, key=lambda one: one.started_at)
    assert second.started_at >= first.ended_at - timedelta(milliseconds=5)


@pytest.mark.alone
async def test_work_that_ignores_its_cancellation_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    async def stubborn() -> None:
        for _ in range(8):
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue
        raise RuntimeError(f"with {PLANTED_KEY}")

    deadline = Deadline(Limits(connect=1, first_token=0.1, stall=0.1, whole=0.1))
    began = time.monotonic()
    assert not await run_until(stubborn(), deadline)
    assert time.monotonic() - began < 0.6
    await asyncio.sleep(0.9)
    assert PLANTED_KEY not in caplog.text


async def test_a_cancellation_from_within_is_no_cancellation_of_ours() -> None:
    async def confused() -> None:
        raise asyncio.CancelledError

    with pytest.raises(CancelledFromWithinError):
        await run_until(confused(), Deadline(Limits(connect=1, first_token=1, stall=1, whole=1)))


@pytest.mark.alone
async def test_tokens_extend_a_deadline_up_to_the_whole() -> None:
    deadline = Deadline(Limits(connect=1, first_token=0.15, stall=0.15, whole=0.5))

    async def tokens() -> None:
        while True:
            await asyncio.sleep(0.1)
            deadline.progress()

    began = time.monotonic()
    assert not await run_until(tokens(), deadline)
    assert 0.45 < time.monotonic() - began < 0.8


async def test_a_cancelled_probe_is_cancelled(prober: Prober, server: FaultServer) -> None:
    server.play("hang_headers")
    task = asyncio.create_task(prober.probe(server_target("vllm", server.url), DEEP, Policy()))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_loop_that_was_late_blames_nobody(prober: Prober, server: FaultServer) -> None:
    server.play("hang_headers")
    for kind in ProbeKind:
        server.scope = "all"
        asyncio.get_running_loop().call_later(0.2, time.sleep, 0.7)
        result = await prober.probe(provider_target("openai", server.url), kind, short_policy(whole=1.0))
        assert result.outcome is Outcome.INDETERMINATE, result.detail


async def test_without_a_descriptor_left_nobody_is_blamed(prober: Prober, server: FaultServer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/dev/fd"))  # noqa: PTH208 - of descriptors, not of files
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    fillers: list[socket.socket] = []
    try:
        while True:
            try:
                fillers.append(socket.socket())
            except OSError:
                break
        results = [await prober.probe(server_target("vllm", server.url), kind, POLICY) for kind in ProbeKind]
    finally:
        for filler in fillers:
            filler.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [one.outcome for one in results] == [Outcome.INDETERMINATE] * 2, results


async def test_a_server_that_accepts_nobody_is_unreachable_in_its_connect_time(prober: Prober) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        try:
            target = server_target("vllm", f"http://127.0.0.1:{full.getsockname()[1]}")
            for kind in ProbeKind:
                result = await prober.probe(target, kind, POLICY)
                assert result.outcome is Outcome.UNREACHABLE, result.detail
                assert "connect_timeout" in result.detail
                assert result.ended_at - result.started_at < timedelta(seconds=1.5)
        finally:
            for one in waiting:
                one.close()


async def test_litellm_is_left_as_it_was_found(prober: Prober, server: FaultServer) -> None:
    import litellm

    found = dict(vars(litellm))
    async with running_prober() as another:
        assert litellm.aclient_session is not found["aclient_session"]
        result = await another.probe(server_target("openai-compatible", server.url), DEEP, POLICY)
        assert result.outcome is Outcome.OK
    assert [name for name, value in found.items() if vars(litellm)[name] is not value] == []


async def test_a_key_that_does_not_open_is_told_without_a_request(server: FaultServer) -> None:
    def unseal(_: SealedKey) -> str:
        raise KeyUndecryptable("api_key:1")

    async with running_prober(unseal=unseal) as prober:
        result = await prober.probe(provider_target("openai", server.url), ProbeKind.LIGHT, POLICY)
    assert (result.outcome, result.detail) == (Outcome.AUTH_FAILED, "the stored key cannot be decrypted")
    assert server.seen == []


async def test_our_own_exception_is_a_result_with_its_type_alone(server: FaultServer) -> None:
    def unseal(_: SealedKey) -> str:
        raise ZeroDivisionError(PLANTED_KEY)

    async with running_prober(unseal=unseal) as prober:
        result: ProbeResult = await prober.probe(provider_target("openai", server.url), DEEP, POLICY)
    assert result.outcome is Outcome.PROBE_INVALID
    assert "ZeroDivisionError" in result.detail
    assert PLANTED_KEY not in repr(result)


async def test_the_wire_sends_one_request_of_a_probe_to_its_own_host_only(server: FaultServer) -> None:
    wire = WireTransport()
    async with httpx.AsyncClient(transport=wire) as client:
        with pytest.raises(RequestRefused):
            await client.get(server.url + "/health")
        EXCHANGE.set(Exchange(host="elsewhere.invalid"))
        with pytest.raises(RequestRefused):
            await client.get(server.url + "/health")
        EXCHANGE.set(Exchange(host="127.0.0.1"))
        assert (await client.get(server.url + "/health")).status_code == 200
        with pytest.raises(RequestRefused):
            await client.get(server.url + "/health")
    EXCHANGE.set(None)
    await wire.shut()
    assert len(server.seen) == 1


async def test_nothing_touches_the_network_or_standard_output_at_the_import_of_litellm() -> None:
    program = """
import asyncio, socket, sys
def refuse(*a, **k):
    sys.stderr.write(f"NETWORK {a}"); raise OSError("no network")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
import monitor.probing.prober
assert "litellm" not in sys.modules and "openai" not in sys.modules
from monitor.probing.litellm_prober import LitellmProber
prober = LitellmProber()
asyncio.run(prober.warm_up())
assert "litellm" in sys.modules
"""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await started.communicate()
    assert (started.returncode, said.decode()) == (0, "")
