"""A thousand targets on a hundred ports, probed by a daemon as it runs in earnest.

First with the default intervals, then with a deep probe of every target each 30 s, then the same while every
tenth target hangs. Arrivals are counted where they arrive; failures where they are stored.
"""

import asyncio
import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import psutil

from monitor.domain.outcome import Outcome
from monitor.domain.policy import Policy
from tests.bench.daemon import (
    add_targets,
    children_resident,
    cpu_seconds,
    database_of,
    failures,
    resident,
    starting_daemon,
    until_probed,
    waited_seconds,
)
from tests.bench.figures import Buckets, Figure, between, histogram_percentile, percentile, read_buckets
from tests.bench.server import Arrival, BenchServer, running_server
from tests.daemon import RunningDaemon
from tests.postgres import DISK, open_folder

TARGETS = 1_000
PORTS = 100
HANGING = TARGETS // 10
TIMEOUT_SECONDS = 5.0
TIMEOUTS = ("FIRST_TOKEN_TIMEOUT", "STALL_TIMEOUT", "TIMEOUT")
DEEP_SECONDS = 30.0
LIGHT_SECONDS = Policy().light_interval_local.total_seconds()
USUAL_SECONDS = 20.0  # how long each mix is watched
HEAVY_SECONDS = 45.0
HANGING_SECONDS = 66.0  # two intervals, and their jitter at either end
SETTLE_SECONDS = 5.0
FIRST_PROBES_SECONDS = 120.0
SCRAPE_SECONDS = 15.0
BIN_SECONDS = 0.1
LAG = "llm_monitor_schedule_lag_seconds"
LAG_AIM = 50.0
SLACK_SECONDS = 0.25  # from the start of a probe to the server


@dataclass(frozen=True, kw_only=True)
class Window:
    """What was seen of a daemon from one moment to another.

    Attributes:
        began: monotonic seconds.
        seconds: how long.
        cpu: of the daemon, in cores.
        children_cpu: of its PostgreSQL, in cores.
        busy: how much of the whole machine was in use, whoever used it, in percent.
        waited: the share of the time in which the daemon had to wait for a core, or None.
        lags: how late jobs started, by the daemon's own histogram.
        arrivals: what came to the server.
    """

    began: float
    seconds: float
    cpu: float
    children_cpu: float
    busy: float
    waited: float | None
    lags: Buckets
    arrivals: list[Arrival]

    def figures(self, mix: str) -> list[Figure]:
        """What is told of every mix."""
        each = len(self.arrivals) / self.seconds
        deep = sum(one.deep for one in self.arrivals) / self.seconds
        bins = self.per_bin()
        return [
            Figure(
                name=f"{mix}: CPU of the daemon",
                median=self.cpu * 100,
                unit="%",
                note=f"of one core, at {each:.0f} probes/s, {deep:.1f} of them deep;"
                f" its PostgreSQL {self.children_cpu * 100:.0f} %; {self.neighbours()}",
            ),
            Figure(
                name=f"{mix}: schedule lag p50",
                median=histogram_percentile(self.lags, 0.5) * 1000,
                unit="ms",
                note="by the daemon's own histogram",
            ),
            Figure(
                name=f"{mix}: schedule lag p99",
                median=histogram_percentile(self.lags, 0.99) * 1000,
                unit="ms",
                most=LAG_AIM,
                note="the same",
            ),
            Figure(
                name=f"{mix}: arrivals per 100 ms",
                median=median(bins),
                unit="",
                note=f"mean {each * BIN_SECONDS:.1f}, p99 {percentile(bins, 0.99)}, most {max(bins)}",
            ),
        ]

    def neighbours(self) -> str:
        """What a reader has to know before blaming the daemon for being late."""
        waited = (
            "" if self.waited is None else f", the daemon waited {self.waited * 100:.0f} % of it for a core"
        )
        return f"machine {self.busy:.0f} % busy{waited}"

    def per_bin(self) -> list[int]:
        """Arrivals in each tenth of a second."""
        counts = Counter(int((one.at - self.began) / BIN_SECONDS) for one in self.arrivals)
        return [counts[place] for place in range(int(self.seconds / BIN_SECONDS))]


async def measure() -> list[Figure]:
    """All three mixes on one daemon."""
    with open_folder(DISK) as folder:
        async with (
            running_server(PORTS) as server,
            starting_daemon(folder, **dict.fromkeys(TIMEOUTS, str(TIMEOUT_SECONDS))) as daemon,
        ):
            await daemon.ready()
            async with database_of(folder) as connection:
                return await _measure(daemon, server, connection)


async def _measure(daemon: RunningDaemon, server: BenchServer, connection: Any) -> list[Figure]:
    ids = await add_targets(connection, server, TARGETS)
    for kind in ("deep", "light"):
        await until_probed(connection, kind, TARGETS, FIRST_PROBES_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)
    usual = await _watch(daemon, server, USUAL_SECONDS)

    await connection.execute(
        "UPDATE ai_servers SET metadata = $1", {"probe": {"interval_seconds": DEEP_SECONDS}}
    )
    await asyncio.sleep(SETTLE_SECONDS)
    heavy = await _watch(daemon, server, HEAVY_SECONDS)
    failed = await failures(connection, ids)

    await server.hang(range(HANGING))
    await asyncio.sleep(SETTLE_SECONDS)
    hanging = await _watch(daemon, server, HANGING_SECONDS)
    failed_beside = Counter(await failures(connection, ids[HANGING:])) - Counter(failed)
    memory, postgres = resident(daemon.process.pid), children_resident(daemon.process.pid)
    return [
        *usual.figures("usual"),
        *heavy.figures("heavy"),
        _failures("heavy: false failures", failed, "since the start, with a timeout of 5 s"),
        *_periods("heavy", heavy, first=0),
        *hanging.figures("10 % hang"),
        _failures("10 % hang: false failures", failed_beside, "of the other 900"),
        *_periods("10 % hang", hanging, first=HANGING),
        Figure(
            name="memory at the end", median=memory, unit="MB", note=f"its PostgreSQL {postgres:.0f} MB more"
        ),
    ]


async def _watch(daemon: RunningDaemon, server: BenchServer, seconds: float) -> Window:
    """Look at the start and at the end, and let a scraper come by in between."""
    pid = daemon.process.pid
    _, page = await daemon.get("/metrics")
    await server.arrivals()
    psutil.cpu_percent()  # since this call
    waited = waited_seconds(pid)
    began, (cpu, children) = time.monotonic(), cpu_seconds(pid)
    while (left := began + seconds - time.monotonic()) > 0:
        await asyncio.sleep(min(left, SCRAPE_SECONDS))
        _, last_page = await daemon.get("/metrics")
    (cpu_after, children_after), ended = cpu_seconds(pid), time.monotonic()
    arrivals = await server.arrivals()
    return Window(
        began=began,
        seconds=ended - began,
        cpu=(cpu_after - cpu) / (ended - began),
        children_cpu=(children_after - children) / (ended - began),
        busy=psutil.cpu_percent(),
        waited=None if waited is None else ((waited_seconds(pid) or 0.0) - waited) / (ended - began),
        lags=between(read_buckets(page, LAG), read_buckets(last_page, LAG)),
        arrivals=[one for one in arrivals if began <= one.at < ended],
    )


def _failures(name: str, found: dict[str, int], note: str) -> Figure:
    # A result without a vote blames nobody: it is told, and no failure.
    failed = sum(count for what, count in found.items() if Outcome.INDETERMINATE not in what)
    told = f"; {json.dumps(found)}" if found else ""
    return Figure(name=name, median=failed, unit="", most=0, note=note + told)


def _periods(mix: str, window: Window, first: int) -> list[Figure]:
    """Whether each target from `first` on was asked in its own time, for both kinds."""
    figures = []
    for kind, deep, interval in (("deep", True, DEEP_SECONDS), ("light", False, LIGHT_SECONDS)):
        times: dict[int, list[float]] = defaultdict(list)
        for one in window.arrivals:
            if one.deep is deep:
                times[one.target].append(one.at)
        targets = range(first, TARGETS)
        kept = sum(_keeps(times[target], window, interval) for target in targets)
        means = [(found[-1] - found[0]) / (len(found) - 1) for found in times.values() if len(found) > 1]
        figures.append(
            Figure(
                name=f"{mix}: own {kind} period of {interval:g} s",
                median=100 * kept / len(targets),
                unit="%",
                least=100,
                note=f"of {len(targets)} targets, no gap beyond the jitter; mean gap {median(means):.2f} s",
            )
        )
    return figures


def _keeps(times: list[float], window: Window, interval: float) -> bool:
    """Whether no gap is longer or shorter than two strays of 10 % make it, the window's ends included."""
    least, most = interval * 0.8 - SLACK_SECONDS, interval * 1.2 + SLACK_SECONDS
    bounds = [window.began, *times, window.began + window.seconds]
    gaps = [later - earlier for earlier, later in pairwise(bounds)]
    return max(gaps) <= most and all(gap >= least for gap in gaps[1:-1])
