"""`--json`: on every command that answers something, under the names that the HTTP API has."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from monitor.cli import acting, app, explain_report, status_report
from monitor.cli.history import as_dicts
from monitor.cli.maintenance import as_dict as maintenance_as_dict
from monitor.cli.probe import as_dict as probe_as_dict
from monitor.domain.acts import Act
from monitor.domain.explanation import explain
from monitor.domain.history import Line
from monitor.domain.journal import Facts
from monitor.domain.maintenance import Maintenance
from monitor.domain.outcome import Outcome
from monitor.domain.provider import Purpose
from monitor.storage.operator import Acted, MaintenanceSet
from monitor.web import routes_operator, status_views, uptime_views
from tests.targets import server_target
from tests.unit.build import POLICY, A, B, at, every, observed, result, situation
from tests.unit.test_cli_report import UPTIMES, provider, status

WITHOUT = {
    "run": "it is the daemon: what it says is its log, which MONITOR_LOG_FORMAT makes JSON",
}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Every command that can be typed, and its options."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), {option for one in command.params for option in one.opts}


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_answers_something_answers_in_json(name: str) -> None:
    assert ("--json" in COMMANDS[name]) is (name not in WITHOUT)


def test_all_commands_are_known() -> None:
    assert COMMANDS.keys() >= {"status", "token create", *WITHOUT}


def fields(view: type[Any]) -> set[str]:
    return (
        set(view.model_fields)
        if issubclass(view, BaseModel)
        else {one.name for one in dataclasses.fields(view)}
    )


def test_status_has_the_names_of_the_http_api() -> None:
    away = provider(B, maintenance=Maintenance(since=at(0), until=None))
    told = status_report.as_json(status(providers=(provider(), away)), "")
    extra = {"reason", "evidence", "decision", "candidates", "next", "as_of"}  # `explain` tells those
    extra |= {"uptime"}
    assert set(told["purposes"][0]) == fields(status_views.PurposeView) - extra
    assert set(told["purposes"][0]["active"]) == fields(status_views.NamedProvider)
    assert set(told["providers"][0]) == fields(status_views.ProviderView)
    assert set(told["providers"][1]["maintenance"]) == fields(status_views.OutOfService)
    assert set(told["providers"][0]["targets"][0]) == fields(status_views.TargetView) - {"uptime"}
    assert told["providers"][0]["serves"] == ["chat"]


def test_uptimes_have_the_names_of_the_http_api() -> None:
    told = status_report.as_json(status(), "", UPTIMES)
    [purpose], [target] = told["purposes"], told["providers"][0]["targets"]
    assert list(purpose["uptime"]) == list(target["uptime"]) == ["24h", "7d", "30d", "90d"]
    assert set(purpose["uptime"]["24h"]) == fields(uptime_views.SpanView)
    assert set(target["uptime"]["24h"]) == set(target["uptime"]["90d"]) == fields(uptime_views.UptimeView)
    assert (target["uptime"]["24h"]["share"], target["uptime"]["24h"]["passed"]) == (0.9999, 9)
    assert (target["uptime"]["90d"]["share"], target["uptime"]["90d"]["passed"]) == (None, 0)


def test_history_has_the_names_of_the_http_api() -> None:
    (told,) = as_dicts([Line(at=at(0), what="paused", text="x")], at(100))
    assert set(told) == fields(status_views.EventView)


def test_a_probe_has_the_names_of_the_http_api() -> None:
    told = probe_as_dict(server_target("vllm", "http://127.0.0.1:1"), result(0, Outcome.OK))
    assert fields(status_views.ProbeView) - {"id", "ended_at"} == set(told) - {"provider", "name", "meaning"}


def test_an_operators_acts_have_the_names_of_the_http_api() -> None:
    done = Acted(
        purpose=Purpose.CHAT, act=Act.PIN, changed=True, active=A, left=None, fallback=B, generation=2
    )
    told = acting.as_dict(done, acting.Names({A: "one"}))
    assert set(told) == fields(routes_operator.ActView) | {"name"}
    taken = MaintenanceSet(provider=A, name="one", changed=True, span=None, lasts=False, purposes=())
    assert set(maintenance_as_dict(taken)) == fields(routes_operator.MaintenanceView)


def test_an_explanation_has_the_names_of_the_http_api() -> None:
    good = observed(*every(30, [Outcome.OK] * 3), of=A)
    explanation = explain(situation({A: good}), at(100), POLICY, str)
    facts = Facts(active=A, deciding_since=at(0), since=at(0), rule="adopted")
    report = explain_report.Report(
        purpose=Purpose.CHAT, at=at(100), facts=facts, explanation=explanation, move=None, names={}
    )
    told = explain_report.as_json(report)
    assert set(told) - {"at", "reports"} < fields(status_views.PurposeView)
    assert set(told["decision"]) == fields(status_views.DecisionView)
    assert set(told["candidates"][0]) == fields(status_views.CandidateView)
    assert set(told["candidates"][0]["last"][0]) == fields(status_views.LastView)
