"""Prometheus' own tools read the rules and their tests, and find nothing wrong."""

import asyncio
from pathlib import Path

import pytest

from tests.system.packages import installed
from tests.system.prometheus import promtool

RULES = Path(__file__).parents[2] / "grafana/prometheus"


async def test_the_rules_and_the_example_configurations_are_valid() -> None:
    await promtool("check", "rules", str(RULES / "recording.yaml"), str(RULES / "alerts.yaml"))
    said = await promtool("check", "config", str(RULES / "prometheus.yml"))
    assert "2 rule files found" in said
    amtool = await asyncio.to_thread(installed, "amtool", "prometheus-alertmanager")
    process = await asyncio.create_subprocess_exec(
        amtool, "check-config", str(RULES / "alertmanager.yml"), stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0


@pytest.mark.parametrize("path", sorted((RULES / "tests").glob("*.yaml")), ids=lambda path: path.stem)
async def test_every_alert_fires_stays_silent_and_resolves_as_it_should(path: Path) -> None:
    await promtool("test", "rules", str(path))
