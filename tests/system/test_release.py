"""The wheel in an empty environment, without the repository, does the whole main job."""

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from monitor import __version__
from tests.daemon import QUICK_POLICY, free_port
from tests.distribution import build, copy_checkout
from tests.fault_server import FaultServer
from tests.system.visitor import Visitor
from tests.system.visitor import visitor as make_visitor

POLICY = {f"MONITOR_POLICY_{name}": value for name, value in QUICK_POLICY.items()}


@pytest.fixture(scope="module")
def owner(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """An ordinary user who has the wheel, and has installed it into a folder with spaces in its path."""
    checkout = copy_checkout(tmp_path_factory.mktemp("checkout"))
    wheel = build(checkout, tmp_path_factory.mktemp("dist"), "wheel")["wheel"]
    with make_visitor() as owner:
        owner.download_nothing(wheels)
        (owner.home / "wheels" / wheel.name).write_bytes(wheel.read_bytes())
        place = owner.home / "a place" / "with spaces"
        place.mkdir(parents=True)
        owner.owns(owner.home / "a place")
        for command in (
            (owner.python(), "-m", "venv", place / "venv"),
            (place / "venv/bin/pip", "--quiet", "install", owner.home / "wheels" / wheel.name),
            (place / "venv/bin/pip", "check"),
        ):
            done = owner.run(*command, timeout_seconds=400)
            assert done.returncode == 0, done.stdout + done.stderr
        yield owner


@dataclass
class Operator:
    """Somebody at a terminal, with the installed program and a daemon of it."""

    account: Visitor
    program: Path
    data: Path
    port: int
    session: aiohttp.ClientSession

    @property
    def variables(self) -> dict[str, str]:
        """What is set in that terminal."""
        return {"MONITOR_DATA_DIR": str(self.data), "MONITOR_PORT": str(self.port), **POLICY}

    async def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Type a command."""
        run = self.account.run
        return await asyncio.to_thread(
            lambda: run(self.program, *arguments, timeout_seconds=60, **self.variables)
        )

    async def answer(self, *arguments: str) -> Any:
        """Type one that is content and answers in JSON."""
        done = await self.ask(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Change something by the management API, with the token of the first start."""
        token = (self.data / "admin-token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.post(f"/api/v1/llm-config{path}", json=body, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()
            return await answer.json()

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body of an open page; (0, "") when nobody answers."""
        try:
            async with self.session.get(path) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientConnectionError:
            return 0, ""

    async def serves(self, name: str) -> bool:
        """Whether a provider serves the purpose and is well."""
        _, page = await self.get("/metrics")
        for line in page.splitlines():
            if line.startswith("llm_monitor_provider_info{") and f'name="{name}"' in line:
                number = line.partition('provider_id="')[2].partition('"')[0]
                active = [one for one in page.splitlines() if one.startswith("llm_monitor_active_provider{")]
                return any(f'provider_id="{number}"' in one for one in active)
        return False


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["nobody", "root"])
async def test_the_wheel_does_the_whole_job(owner: Visitor, name: str) -> None:
    place = owner.home / "a place" / "with spaces"
    account = owner if name == "nobody" else Visitor(owner.home, name)
    port, output, program = free_port(), owner.home / f"output of {name}", place / "venv/bin/llm-monitor"
    async with (
        FaultServer() as first,
        FaultServer() as second,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        operator = Operator(account, program, place / f"data of {name}", port, session)
        version = await operator.ask("--version")
        assert version.stdout == f"llm-monitor {__version__}\n"
        with account.running(program, "run", output=output, **operator.variables) as daemon:

            async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
                deadline = time.monotonic() + 60
                while not await holds():
                    assert daemon.poll() is None, output.read_text()
                    assert time.monotonic() < deadline, f"{what}:\n{output.read_text()}"
                    await asyncio.sleep(0.1)

            async def ready() -> bool:
                return (await operator.get("/readyz"))[0] == 200

            await until(ready, "readiness")
            rows = [
                await operator.post(
                    "/servers",
                    {"name": name, "server_type": "vllm", "base_url": server.url, "model_path": "m1"},
                )
                for name, server in (("first", first), ("second", second))
            ]
            await operator.post(
                "/active",
                {
                    "purpose": "chat",
                    "provider_type": "ai_server",
                    "provider_id": rows[0]["id"],
                    "fallback_provider_type": "ai_server",
                    "fallback_provider_id": rows[1]["id"],
                },
            )

            async def all_well() -> bool:
                done = await operator.ask("status", "--json")
                providers = json.loads(done.stdout)["providers"]
                return len(providers) == 2 and done.stdout.count('"state": "up"') == 2

            await until(all_well, "two providers that are up")
            first.play("500")
            await until(lambda: operator.serves("second"), "a failover")
            first.play(None)
            await until(lambda: operator.serves("first"), "a failback")

            told = await operator.answer("status")
            assert told["status"] == "ok"
            assert [one["rule"] for one in told["transitions"]][:2] == ["fail_back", "fail_over"]
            assert "fail_over" in json.dumps(await operator.answer("history", "chat"))
            assert (await operator.answer("verify", "chat"))["purposes"]
            assert (await operator.ask("healthcheck")).stdout.startswith("healthy: ")
            await _tells_its_version(operator)
            await _lays_its_assets(operator)

            family = psutil.Process(daemon.pid).children(recursive=True)
            assert any("postgres" in one.name() for one in family)
            daemon.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(daemon.wait, 15) == 0, output.read_text()
            assert [one for one in family if one.is_running()] == []


async def _tells_its_version(operator: Operator) -> None:
    _, page = await operator.get("/metrics")
    told = [line for line in page.splitlines() if line.startswith("llm_monitor_build_info{")]
    assert len(told) == 1
    assert f'version="{__version__}"' in told[0]
    token = (operator.data / "admin-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with operator.session.get("/api/v1/openapi.json", headers=headers) as answer:
        assert (await answer.json())["info"]["version"] == __version__


async def _lays_its_assets(operator: Operator) -> None:
    target = operator.data / "for others"
    laid = await operator.answer("assets", str(target))
    assert str(target / "grafana/prometheus/alerts.yaml") in laid
    assert {Path(one) for one in laid} == {path for path in target.rglob("*") if path.is_file()}
