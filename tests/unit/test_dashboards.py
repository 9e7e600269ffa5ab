"""The dashboards: made by their code, complete, and about metrics that exist."""

import itertools
import re
from typing import Any

import pytest
import yaml

from grafana.dashboards import DASHBOARDS, text
from tests.daemon import ROOT
from tests.dashboards import NAMES, load, panels, queries

FIRST_SCREEN_ROWS = 20
"""Rows of 38 pixels between Grafana's bars and the lower edge of a screen of 1080."""
FOREIGN = {
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
}
"""What Prometheus itself and the process collector add."""
GIVEN_BY_GRAFANA = {"__rate_interval", "__range", "__range_s", "__interval"}


def every_panel() -> list[Any]:
    return [
        pytest.param(name, panel, id=f"{name}-{panel['title']}")
        for name in NAMES
        for panel in panels(load(name))
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_json_is_what_the_code_makes(name: str) -> None:
    committed = (ROOT / "grafana" / "dashboards" / "json" / f"{name}.json").read_text(encoding="utf-8")
    assert text(DASHBOARDS[name]()) == committed, "make dashboards writes it"
    assert text(DASHBOARDS[name]()) == committed, "a second making is the same"


def test_every_dashboard_is_committed_and_no_other() -> None:
    assert set(DASHBOARDS) == set(NAMES)
    folder = ROOT / "grafana" / "dashboards" / "json"
    assert {path.name for path in folder.iterdir()} == {f"{name}.json" for name in NAMES}


@pytest.mark.parametrize(("name", "panel"), every_panel())
def test_a_panel_says_what_it_shows(name: str, panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert len(panel["description"]) > 20, "a description for whoever did not build it"
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    assert defaults["noValue"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        assert target["instant"] is not target["range"]


@pytest.mark.parametrize(("name", "panel"), every_panel())
def test_no_state_is_told_by_colour_alone(name: str, panel: dict[str, Any]) -> None:
    mapped = [panel["fieldConfig"]["defaults"]["mappings"]]
    for override in panel["fieldConfig"]["overrides"]:
        mapped += [one["value"] for one in override["properties"] if one["id"] == "mappings"]
    for mappings in mapped:
        for mapping in mappings:
            for result in mapping["options"].values():
                assert result["text"]
                assert re.fullmatch("#[0-9A-F]{6}", result["color"])
    if panel["type"] == "state-timeline":
        assert mapped[0], "a band without words"


@pytest.mark.parametrize(("name", "panel"), every_panel())
def test_what_stands_alone_says_whether_it_is_good_or_bad(name: str, panel: dict[str, Any]) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    steps, mappings = defaults["thresholds"]["steps"], defaults["mappings"]
    assert steps[0]["value"] is None
    values = [step["value"] for step in steps[1:]]
    assert values == sorted(set(values))
    if panel["type"] in {"stat", "state-timeline"}:
        assert values or mappings, "a number or a band without a verdict"
    if defaults["unit"] == "percentunit" and "fail" in panel["title"].lower():
        assert values


@pytest.mark.parametrize("name", NAMES)
def test_panels_lie_side_by_side_and_never_on_each_other(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    numbers = [panel["id"] for panel in load(name)["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in load(name)["panels"]:
        place = panel["gridPos"]
        assert place["w"] >= 3
        assert place["x"] + place["w"] <= 24
        cells = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
            )
        )
        assert not cells & taken, panel.get("title")
        taken |= cells
    rows = {y for _, y in taken}
    assert rows == set(range(max(rows) + 1))


def test_the_first_screen_of_the_overview_answers_the_three_questions() -> None:
    seen = {
        panel["title"]
        for panel in panels(load("overview"))
        if panel["gridPos"]["y"] + panel["gridPos"]["h"] <= FIRST_SCREEN_ROWS
    }
    assert {"Providers", "Providers broken", "Purposes nobody serves"} <= seen, "what is broken"
    assert "Who serves" in seen
    assert {"Asked of you", "What is asked of you", "Daemons that act", "Database"} <= seen


@pytest.mark.parametrize("name", NAMES)
def test_titles_tell_panels_apart(name: str) -> None:
    titles = [panel["title"] for panel in panels(load(name))]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_opens_as_it_should(name: str) -> None:
    found = load(name)
    assert found["uid"] == f"llm-monitor-{name}"
    assert found["description"]
    assert found["refresh"] == "30s"
    assert found["time"] == {"from": "now-7d" if name == "failover" else "now-6h", "to": "now"}
    assert {one["name"] for one in found["annotations"]["list"]} == {"Moves", "Stranded"}


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_of_an_expression_is_there_to_choose(name: str) -> None:
    found = load(name)
    known = {variable["name"] for variable in found["templating"]["list"]} | GIVEN_BY_GRAFANA
    assert found["templating"]["list"][0]["name"] == "datasource"
    for query in queries():
        if query.dashboard == name:
            assert set(re.findall(r"\$(\w+)", query.expr)) <= known, query


def test_every_metric_of_an_expression_is_exported() -> None:
    exported = set(re.findall(r"llm_monitor_\w+", (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")))
    for query in queries():
        named = set(re.findall(r"\b(?:[a-z][a-z0-9_]*(?=\{)|llm_monitor_\w+)", query.expr)) - FOREIGN
        assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in named} <= exported, query


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_dashboard(name: str) -> None:
    known = {f"llm-monitor-{one}" for one in NAMES}
    links = [link["url"] for link in load(name)["links"]]
    assert sorted(links) == sorted(f"/d/{one}" for one in known - {f"llm-monitor-{name}"})
    assert all(link["includeVars"] and link["keepTime"] for link in load(name)["links"])
    for panel in panels(load(name)):
        config = panel["fieldConfig"]
        found = list(config["defaults"].get("links", []))
        for override in config["overrides"]:
            found += itertools.chain.from_iterable(
                one["value"] for one in override["properties"] if one["id"] == "links"
            )
        for link in found:
            path, _, asked = link["url"].partition("?")
            assert path.removeprefix("/d/") in known
            assert "var-provider=${" in asked
            kept = ("__url_time_range", "datasource:queryparam", "job:queryparam", "instance:queryparam")
            assert {f"${{{one}}}" for one in kept} <= set(asked.split("&"))


@pytest.mark.parametrize("name", NAMES)
def test_a_table_shows_each_of_its_queries_and_nothing_without_a_name(name: str) -> None:
    for panel in panels(load(name)):
        if panel["type"] == "table":
            arranged = panel["transformations"][-1]["options"]
            values = {f"Value #{target['refId']}" for target in panel["targets"]}
            if len(values) == 1:
                values = {"Value"}
            assert values <= arranged["renameByName"].keys() | arranged["excludeByName"].keys()
            shown = set(arranged["renameByName"].values())
            overridden = {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]}
            assert overridden <= shown


def test_the_provisioning_files_lead_to_the_dashboards() -> None:
    folder = ROOT / "grafana" / "provisioning"
    providers = yaml.safe_load((folder / "dashboards" / "llm-monitor.yaml").read_text(encoding="utf-8"))
    sources = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text(encoding="utf-8"))
    assert providers["apiVersion"] == sources["apiVersion"] == 1
    (provider,) = providers["providers"]
    (source,) = sources["datasources"]
    assert provider["type"] == "file"
    assert source["type"] == "prometheus"
    guide = (ROOT / "docs" / "grafana.md").read_text(encoding="utf-8")
    assert provider["options"]["path"] in guide, "where the files are to be mounted"
