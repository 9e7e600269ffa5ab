"""The harness itself: a Prometheus that scrapes itself answers, and leaves nothing running."""

from pathlib import Path

import pytest

from tests.daemon import free_port
from tests.system.prometheus import (
    QueryRefused,
    configuration,
    promtool,
    running_alertmanager,
    running_prometheus,
    until,
)


async def test_a_prometheus_answers_queries_and_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text('{"groups": [{"name": "g", "rules": [{"record": "a:up", "expr": "up"}]}]}')
    await promtool("check", "rules", str(rules))
    nobody = f"127.0.0.1:{free_port()}"
    async with running_prometheus(
        configuration([nobody], rules=[rules], interval_seconds=0.25), tmp_path
    ) as prometheus:
        found = await until(lambda: prometheus.query("a:up"), 20, "a recorded series")
        assert found[0]["value"] == 0.0
        assert found[0]["metric"]["instance"] == nobody
        assert (await prometheus.query("1 + 1"))[0]["value"] == 2.0
        assert [rule["health"] for rule in await prometheus.rules()] == ["ok"]
        assert await prometheus.alerts() == []
        with pytest.raises(QueryRefused):
            await prometheus.query("rate(")


async def test_an_alertmanager_answers(tmp_path: Path) -> None:
    config = '{"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}'
    async with running_alertmanager(config, tmp_path) as alertmanager:
        assert await alertmanager.alerts() == []
