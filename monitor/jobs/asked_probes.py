"""Probes that somebody asked for: at once, but never so often that asking becomes an attack."""

import asyncio
from collections import deque

import structlog

from monitor.domain.target import TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.probe_target import ProbeTarget
from monitor.storage.asked_probes import read_asked

log = structlog.get_logger()

APART_SECONDS = 2.0
SPAN_SECONDS = 10.0
MOST_IN_SPAN = 50


class AskedProbes:
    """Brings a target's next probe forward: each at most once in 2 s, all together at most 50 in 10 s."""

    def __init__(self, beliefs: Beliefs, probes: ProbeTarget) -> None:
        self._beliefs = beliefs
        self._probes = probes
        self._last: dict[TargetId, float] = {}
        self._waiting: dict[TargetId, asyncio.TimerHandle] = {}
        self._begun: deque[float] = deque()

    def heard(self, payload: str) -> None:
        """Somebody asked; of more who ask before it begins each gets the same probe."""
        target = read_asked(payload)
        if target is None or target not in self._beliefs.targets:
            log.debug("asked_probe_unknown", payload=payload[:100])
            return
        if target in self._waiting:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._begun and now - self._begun[0] >= SPAN_SECONDS:
            self._begun.popleft()
        if len(self._begun) >= MOST_IN_SPAN:
            log.warning("asked_probes_refused", target=str(target), most=MOST_IN_SPAN, seconds=SPAN_SECONDS)
            return
        wait = self._last.get(target, now - APART_SECONDS) + APART_SECONDS - now
        self._begun.append(now)
        self._last[target] = now + max(wait, 0.0)
        if wait > 0:
            self._waiting[target] = loop.call_later(wait, self._probe, target)
        else:
            self._probe(target)
        self._forget(now)

    def close(self) -> None:
        """Begin none of those that wait."""
        for one in self._waiting.values():
            one.cancel()
        self._waiting.clear()

    def _probe(self, target: TargetId) -> None:
        self._waiting.pop(target, None)
        if target in self._beliefs.targets:
            self._probes.probe_asked(target)

    def _forget(self, now: float) -> None:
        for target in [one for one, at in self._last.items() if now - at > SPAN_SECONDS]:
            del self._last[target]
