"""Alert rules, runbooks and their tests say the same: names, links, commands, metrics that exist."""

import re
import shlex
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from monitor.cli import app

ROOT = Path(__file__).parents[2]
RULES = ROOT / "grafana/prometheus"
TESTS = RULES / "tests"
RUNBOOKS = ROOT / "docs/runbooks"
SECTIONS = ["What it means", "What to look at", "What to do", "When it is not our fault"]
COMMANDS: Mapping[str, Any] = typer.main.get_group(app).commands
SUFFIXES = ("_bucket", "_count", "_sum")
RENEWED_BY_TIME = {
    # What they say is no probe's: a scrape, a committed move, a share or a middle of many readings.
    "LLMFailedOver",
    "LLMErrorBudgetBurning",
    "LLMRequestsFail",
    "LLMCertificateEnding",
    "LLMMonitorResultsDropped",
}


def rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((RULES / name).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = rules("alerts.yaml")
RECORDED = rules("recording.yaml")


@cache
def cases() -> list[dict[str, Any]]:
    """Every test of promtool's."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(TESTS.glob("*.yaml"))]
    return [test for file in files for test in file["tests"]]


def runbook(alert: str) -> str:
    """LLMPurposeStranded -> purpose-stranded.md."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", alert.removeprefix("LLM")).lower() + ".md"


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_says_how_urgent_it_is_whom_it_is_about_and_what_to_do_first(
    rule: dict[str, Any],
) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    summary, description = rule["annotations"]["summary"], rule["annotations"]["description"]
    named = r"\$labels\.(name|purpose|job|instance)"
    assert re.search(named, summary)
    assert re.search(r"llm-monitor|Add credit|First look", description)
    if "provider_id" in rule["expr"] and "name" in rule["expr"]:
        assert "$labels.name" in summary


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_links_to_its_runbook(rule: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    base = project["urls"]["Documentation"]
    assert rule["annotations"]["runbook_url"] == f"{base}/runbooks/{runbook(rule['alert'])}"


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_no_alert_begins_and_ends_with_the_state_of_one_instant(rule: dict[str, Any]) -> None:
    assert "keep_firing_for" in rule or rule["alert"] in RENEWED_BY_TIME


def test_there_is_a_runbook_for_every_alert_and_no_other() -> None:
    assert {path.name for path in RUNBOOKS.glob("*.md")} == {runbook(rule["alert"]) for rule in ALERTS}


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_is_short_and_has_its_four_parts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert runbook(text.splitlines()[0].removeprefix("# ")) == path.name
    assert len(text.splitlines()) <= 60


def commands() -> Iterator[tuple[str, list[str]]]:
    for path in sorted(RUNBOOKS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        for found in re.findall(r"(?:^|`)(llm-monitor [^`\n]+)", text, re.MULTILINE):
            yield path.stem, shlex.split(found)[1:]
    for rule in ALERTS:
        text = re.sub(r"\{\{ \$labels\.purpose \}\}", "chat", rule["annotations"]["description"])
        text = re.sub(r"\{\{ \$labels\.\w+ \}\}:\{\{ \$labels\.\w+ \}\}", "ai_server:1", text)
        for found in re.findall(r"llm-monitor ([a-z-]+(?: [^;.]*)?)", text):
            words = shlex.split(found.replace("PURPOSE", "chat"))
            if words[0] in COMMANDS:
                yield rule["alert"], words


@pytest.mark.parametrize(("where", "words"), sorted({(w, shlex.join(c)) for w, c in commands()}))
def test_every_command_that_is_recommended_exists_and_takes_its_arguments(where: str, words: str) -> None:
    name, *arguments = shlex.split(words)
    assert name in COMMANDS, where
    COMMANDS[name].make_context(name, arguments).close()


def test_metrics_and_recorded_series_that_rules_name_exist() -> None:
    told = set(
        re.findall(r"llm_monitor_\w+", (ROOT / "docs/metrics.md").read_text(encoding="utf-8")),
    )
    recorded = {rule["record"] for rule in RECORDED}
    for rule in [*RECORDED, *ALERTS]:
        text = re.sub(r'"[^"]*"', "", rule["expr"])
        series = set(re.findall(r"\w+:llm_monitor_\w+:\w+", text))
        assert series <= recorded
        for one in series:
            text = text.replace(one, "")
        for metric in re.findall(r"llm_monitor_\w+", text):
            plain = next((metric.removesuffix(end) for end in SUFFIXES if metric.endswith(end)), metric)
            assert metric in told or plain in told, metric


def test_runbooks_name_metrics_and_recorded_series_that_exist() -> None:
    told = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    recorded = {rule["record"] for rule in RECORDED}
    for path in (*RUNBOOKS.glob("*.md"), ROOT / "docs/alerts.md"):
        text = path.read_text(encoding="utf-8")
        series = set(re.findall(r"\w+:llm_monitor_\w+:\w+", text))
        assert series <= recorded, path.name
        for metric in re.findall(r"(?<!:)llm_monitor_\w+", text):
            assert metric in told, (path.name, metric)


def test_words_of_the_log_the_settings_and_the_database_that_runbooks_name_exist() -> None:
    documents = ("operate", "configuration", "failover", "management", "metrics", "integrate")
    told = " ".join((ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in documents)
    for path in RUNBOOKS.glob("*.md"):
        for word in re.findall(r"`([A-Za-z.]+_[A-Za-z_.]+)`", path.read_text(encoding="utf-8")):
            assert re.search(rf"\b{re.escape(word)}\b", told), (path.name, word)


def test_recorded_series_are_told_apart_and_every_one_is_described() -> None:
    names = Counter(rule["record"] for rule in RECORDED)
    assert set(names.values()) == {1}
    told = set(
        re.findall(r"`(\w+:llm_monitor_\w+:\w+)`", (ROOT / "docs/alerts.md").read_text(encoding="utf-8"))
    )
    assert told == set(names)


def test_every_alert_is_in_the_table_with_its_severity() -> None:
    text = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| \[(\w+)\]\(runbooks/[\w-]+\.md\) \| ([a-z, ]+) \|", text, re.MULTILINE))
    severities: dict[str, list[str]] = {}
    for rule in ALERTS:
        known = severities.setdefault(rule["alert"], [])
        if rule["labels"]["severity"] not in known:
            known.append(rule["labels"]["severity"])
    order = ["critical", "warning", "info"]
    assert {name: sorted(word.split(", "), key=order.index) for name, word in told.items()} == {
        name: sorted(found, key=order.index) for name, found in severities.items()
    }


@pytest.mark.parametrize("alert", sorted({rule["alert"] for rule in ALERTS}))
def test_every_alert_is_tested_to_fire_to_stay_silent_to_resolve_and_not_for_one_probe(alert: str) -> None:
    own = [test for test in cases() if test["name"].startswith(alert)]
    said = " ".join(test["name"] for test in own)
    checks = [check for test in own for check in test["alert_rule_test"] if check["alertname"] == alert]
    fires = [check for check in checks if check["exp_alerts"]]
    assert "fires" in said
    assert fires
    assert "resolves" in said
    assert any(
        test["alert_rule_test"][-1]["exp_alerts"] == []
        and any(c["exp_alerts"] for c in test["alert_rule_test"])
        for test in own
    ), "none of its tests ends with it resolved"
    assert any(not check["exp_alerts"] for check in checks)
    words = (
        r"one (failed |slow |late )?(probe|pass|result|report|reading|scrape|decision)|restart|takeover|edits"
    )
    assert re.search(words, said)


def test_every_rule_of_an_alert_fires_in_a_test() -> None:
    fired = {
        (check["alertname"], frozenset(one["exp_labels"].items() & labels(check["alertname"])))
        for test in cases()
        for check in test["alert_rule_test"]
        for one in check["exp_alerts"]
    }
    assert fired == {(rule["alert"], frozenset(rule["labels"].items())) for rule in ALERTS}


def labels(alert: str) -> set[tuple[str, str]]:
    """All labels that rules of an alert add."""
    return {pair for rule in ALERTS if rule["alert"] == alert for pair in rule["labels"].items()}


def test_the_inhibitions_name_alerts_that_exist() -> None:
    config = yaml.safe_load((RULES / "alertmanager.yml").read_text(encoding="utf-8"))
    names = {rule["alert"] for rule in ALERTS}
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            for name in re.findall(r"LLM\w+", matcher):
                assert name in names | {"LLM"}
