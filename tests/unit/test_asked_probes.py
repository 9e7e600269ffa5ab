"""Probes that are asked for are made at once, and never so often that asking becomes an attack."""

import asyncio
from types import SimpleNamespace
from typing import Any

from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import TargetId
from monitor.jobs.asked_probes import MOST_IN_SPAN, AskedProbes
from monitor.storage.asked_probes import read_asked


class Asked:
    """The job with targets of its own, and what it probed."""

    def __init__(self, targets: int = 1) -> None:
        self.probed: list[TargetId] = []
        known = {_target(number): None for number in range(targets)}
        beliefs: Any = SimpleNamespace(targets=known)
        probes: Any = SimpleNamespace(probe_asked=self.probed.append)
        self.job = AskedProbes(beliefs, probes)

    def ask(self, number: int = 0) -> None:
        self.job.heard(f'{{"provider": "ai_server:{number}", "purpose": "chat"}}')


def _target(number: int) -> TargetId:
    return TargetId(provider=ProviderRef.parse(f"ai_server:{number}"), purpose=Purpose.CHAT)


async def test_the_first_is_made_at_once_and_more_wait_together() -> None:
    asked = Asked()
    for _ in range(5):
        asked.ask()
    assert asked.probed == [_target(0)]
    (timer,) = asked.job._waiting.values()
    assert 1.5 < timer.when() - asyncio.get_running_loop().time() <= 2.0
    timer._run()
    assert asked.probed == [_target(0)] * 2
    assert not asked.job._waiting
    asked.ask()
    assert len(asked.job._waiting) == 1
    asked.job.close()
    assert not asked.job._waiting


async def test_all_together_are_bounded() -> None:
    asked = Asked(targets=MOST_IN_SPAN + 10)
    for number in range(MOST_IN_SPAN + 10):
        asked.ask(number)
    assert len(asked.probed) == MOST_IN_SPAN


async def test_what_is_not_probed_is_not_asked() -> None:
    asked = Asked()
    asked.ask(7)
    for payload in (
        "",
        "{",
        "[]",
        "null",
        "1",
        '{"provider": 3}',
        '{"provider": "ai_server:0", "purpose": "x"}',
    ):
        asked.job.heard(payload)
        assert read_asked(payload) is None
    assert asked.probed == []
    assert read_asked('{"provider": "api_key:3", "purpose": null}') == TargetId(
        provider=ProviderRef.parse("api_key:3"), purpose=None
    )
