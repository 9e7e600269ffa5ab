"""A real Prometheus and a real Alertmanager on loopback, and what they answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

import aiohttp

from tests.daemon import free_port
from tests.system.packages import installed

_READY_SECONDS = 30.0
_STOP_SECONDS = 15.0
_RETRY_SECONDS = 0.1


class Sample(TypedDict):
    """One series at one instant."""

    metric: dict[str, str]
    value: float


class Curve(TypedDict):
    """One series over a span: pairs of Unix time and value."""

    metric: dict[str, str]
    values: list[tuple[float, float]]


class QueryRefused(Exception):
    """Prometheus did not answer a query; the text is its own."""


class Prometheus:
    """One that runs."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def query(self, expr: str, time: datetime | float | None = None) -> list[Sample]:
        """What an expression gives at an instant; now without one. A scalar has no labels.

        Raises:
            QueryRefused: the expression is wrong or takes too long.
        """
        asked = {"query": expr} | ({} if time is None else {"time": _unix(time)})
        data = await self._ask("query", asked)
        if data["resultType"] == "scalar":
            return [Sample(metric={}, value=float(data["result"][1]))]
        return [Sample(metric=one["metric"], value=float(one["value"][1])) for one in data["result"]]

    async def query_range(
        self, expr: str, start: datetime | float, end: datetime | float, step_seconds: float = 1.0
    ) -> list[Curve]:
        """What an expression gives over a span.

        Raises:
            QueryRefused: the expression is wrong or takes too long.
        """
        asked = {"query": expr, "start": _unix(start), "end": _unix(end), "step": str(step_seconds)}
        data = await self._ask("query_range", asked)
        return [
            Curve(metric=one["metric"], values=[(at, float(value)) for at, value in one["values"]])
            for one in data["result"]
        ]

    async def alerts(self) -> list[dict[str, Any]]:
        """Its alerts, pending and firing, as `/api/v1/alerts` shows them."""
        found: list[dict[str, Any]] = (await self._ask("alerts", {}))["alerts"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and its last error, as `/api/v1/rules` shows them."""
        groups = (await self._ask("rules", {}))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, as `/api/v1/targets` shows it."""
        found: list[dict[str, Any]] = (await self._ask("targets", {}))["activeTargets"]
        return found

    async def _ask(self, path: str, asked: Mapping[str, str]) -> Any:
        async with self._session.get(f"{self.url}/api/v1/{path}", params=asked) as answer:
            found = await answer.json()
        if found["status"] != "success":
            raise QueryRefused(f"{found['error']}: {asked}")
        return found["data"]


class Alertmanager:
    """One that runs."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def alerts(self, **filters: str) -> list[dict[str, Any]]:
        """What it holds, as `/api/v2/alerts` shows it; `status.inhibitedBy` and `status.state` are there."""
        async with self._session.get(f"{self.url}/api/v2/alerts", params=filters) as answer:
            assert answer.status == 200, await answer.text()
            found: list[dict[str, Any]] = await answer.json()
        return found


def configuration(
    targets: Sequence[str],
    *,
    rules: Sequence[Path] = (),
    alertmanager: str | None = None,
    interval_seconds: float = 0.5,
    job: str = "llm-monitor",
) -> str:
    """A configuration that scrapes and evaluates quickly.

    Args:
        targets: `host:port` of what has a /metrics.
        rules: files of rules.
        alertmanager: its URL.
        interval_seconds: between two scrapes, and between two evaluations.
        job: the label `job` of what is scraped.
    """
    interval = f"{round(interval_seconds * 1000)}ms"
    found: dict[str, Any] = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": list(targets)}]}],
    }
    if alertmanager is not None:
        address = alertmanager.removeprefix("http://")
        found["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [address]}]}]}
    return json.dumps(found)  # JSON is YAML


@asynccontextmanager
async def running_prometheus(config: str, folder: Path) -> AsyncIterator[Prometheus]:
    """Start a Prometheus with a configuration's text, and end it whatever happens.

    Args:
        config: as `configuration` writes it.
        folder: of the test's own; the configuration, the data and the log are there.
    """
    program = await asyncio.to_thread(installed, "prometheus")
    config_file = folder / "prometheus.yml"
    config_file.write_text(config, encoding="utf-8")
    port = free_port()
    arguments = (
        f"--config.file={config_file}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-lifecycle",
        "--rules.alert.resend-delay=1s",
    )
    async with _running(program, arguments, folder / "prometheus.log", port) as session:
        yield Prometheus(f"http://127.0.0.1:{port}", session)


@asynccontextmanager
async def running_alertmanager(config: str, folder: Path) -> AsyncIterator[Alertmanager]:
    """Start an Alertmanager with a configuration's text, and end it whatever happens.

    Args:
        config: YAML or JSON.
        folder: of the test's own; the configuration, the data and the log are there.
    """
    program = await asyncio.to_thread(installed, "prometheus-alertmanager")
    config_file = folder / "alertmanager.yml"
    config_file.write_text(config, encoding="utf-8")
    port = free_port()
    arguments = (
        f"--config.file={config_file}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    )
    async with _running(program, arguments, folder / "alertmanager.log", port) as session:
        yield Alertmanager(f"http://127.0.0.1:{port}", session)


async def promtool(*arguments: str) -> str:
    """What promtool says; fails with it when promtool does.

    Args:
        arguments: as `check`, `rules`, a file.
    """
    code, said = await promtool_said(*arguments)
    assert code == 0, said
    return said


async def promtool_said(*arguments: str) -> tuple[int, str]:
    """The exit code of promtool and what it says."""
    program = await asyncio.to_thread(installed, "promtool", "prometheus")
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace")


async def until(holds: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait until a coroutine function gives something true; gives that."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (found := await holds()):
        assert loop.time() < deadline, f"{what} did not come within {seconds} s"
        await asyncio.sleep(_RETRY_SECONDS)
    return found


@asynccontextmanager
async def _running(
    program: str, arguments: Sequence[str], log: Path, port: int
) -> AsyncIterator[aiohttp.ClientSession]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        async with aiohttp.ClientSession() as session:
            await _ready(session, f"http://127.0.0.1:{port}/-/ready", process, log)
            yield session
    finally:
        await _stop(process)


async def _ready(
    session: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process, log: Path
) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _READY_SECONDS
    while True:
        try:
            async with session.get(url) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientConnectionError:
            pass
        assert process.returncode is None, await asyncio.to_thread(log.read_text)
        assert loop.time() < deadline, await asyncio.to_thread(log.read_text)
        await asyncio.sleep(_RETRY_SECONDS)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _unix(instant: datetime | float) -> str:
    return str(instant.timestamp() if isinstance(instant, datetime) else instant)
