"""The documents say what the code does: tables of names, defaults, outcomes, rules, events and metrics."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from monitor.cli import app
from monitor.domain.application_status import HealthWarning
from monitor.domain.eligibility import DEMOTING, Block
from monitor.domain.metadata import FIELDS, PROBE_KEYS, Metadata
from monitor.domain.outcome import VOTES, Outcome
from monitor.domain.policy import Policy
from monitor.domain.situation import Rule
from monitor.domain.target import ProbeSettings
from monitor.integration import router as management
from monitor.metrics import Metrics
from monitor.metrics.facts import _DAEMON, _PURPOSE
from monitor.metrics.target_families import FAMILIES
from monitor.settings.door import Door
from monitor.settings.names import PROVIDER_KEYS, SETTINGS
from tests.write_docs import PARTS, policy_table, written

ROOT = Path(__file__).parents[2]
DYNAMIC_EVENTS = {
    "block_began",
    "block_ended",
    "warning_began",
    "warning_ended",
    "health_changed",
    "purpose_stranded",
    "purpose_relieved",
    "operator_chose",
    "operator_changed_fallback",
    "purpose_adopted",
}
"""Events whose name is put together where they are logged."""


def document(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The cells of every table's row."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def logged_events() -> Iterator[str]:
    """The names that the code logs, as far as they are written out."""
    for path in sorted((ROOT / "monitor").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Name(id="log" | "_log") | ast.Call(),
                        attr="debug" | "info" | "warning" | "error" | "exception",
                    ),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    yield name
                case _:
                    continue


@pytest.mark.parametrize("page", PARTS)
def test_what_is_made_of_the_code_is_what_the_code_makes(page: str) -> None:
    text = document(f"docs/{page}")
    assert written(page, text) == text, "make docs writes it"
    assert text.count("<!-- made by make docs: ") == text.count("<!-- end -->") == len(PARTS[page])


def test_a_page_that_lost_its_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"docs/metrics.md has no marks of targets"):
        written("metrics.md", "# Metrics\n")


def test_every_setting_has_a_type_a_meaning_and_a_unit() -> None:
    keys = {variable.lower() for variable in PROVIDER_KEYS.values()}
    assert SETTINGS.keys() == Door.model_fields.keys() | keys
    assert all(one.meaning and one.unit for one in SETTINGS.values())


def test_every_number_of_the_policy_has_a_meaning() -> None:
    told = [row[0].strip("`") for row in rows(policy_table())[1:] if row[-1]]
    assert told[1:] == [field.name for field in fields(Policy)]


def test_every_field_of_metadata_has_a_meaning_and_no_other() -> None:
    probed = {field.name for field in fields(ProbeSettings)} - {"slow_start"}
    known = {field.name for field in fields(Metadata)} - {"probe"}
    assert {name for name in FIELDS if "." not in name} == known
    assert {name.removesuffix("_seconds") for name in PROBE_KEYS} == probed


def test_the_table_of_outcomes_is_the_codes() -> None:
    told = [row[:2] for row in rows(document("docs/failover.md"))[1:] if row[0].startswith("`")]
    assert told == [[f"`{outcome}`", str(VOTES[outcome])] for outcome in Outcome]


def test_the_rules_stand_in_their_order() -> None:
    told = re.findall(r"^\d\. `(\w+)`", document("docs/failover.md"), re.MULTILINE)
    assert told == [str(rule) for rule in Rule]


def test_every_block_and_warning_is_named() -> None:
    text = " ".join(document("docs/failover.md").split())
    ending = text[text.index("Blocks that end") : text.index("Blocks that only")]
    assert set(re.findall(r"`(\w+)`", ending)) == {str(block) for block in DEMOTING}
    others = text[text.index("Blocks that only") : text.index("Warnings, which")]
    assert set(re.findall(r"`(\w+)`", others)) == {str(block) for block in set(Block) - DEMOTING}
    warnings = text[text.index("Warnings, which") : text.index("`ai_servers.health_status`")]
    assert set(re.findall(r"`(\w+)`", warnings)) - {"slow_factor"} == {str(one) for one in HealthWarning}


def test_policy_names_in_the_text_exist() -> None:
    named = re.findall(r"\((`\w+`(?:, `\w+`)*)\)", document("docs/failover.md"))
    words = {word for group in named for word in re.findall(r"\w+", group)}
    assert words - {"promote"} <= {field.name for field in fields(Policy)}
    assert "fall_span" in words


def test_every_event_of_the_log_is_documented_and_no_other() -> None:
    log = document("docs/operate.md").partition("## The log")[2]
    told = {name for row in rows(log)[1:] for name in re.findall(r"`(\w+)`", row[0])}
    assert told == set(logged_events()) | DYNAMIC_EVENTS


def test_every_metric_is_documented_and_no_other() -> None:
    registry = CollectorRegistry()
    Metrics(registry, version="0")
    suffix = {"counter": "_total", "info": "_info"}
    known = {f"{family.name}{suffix.get(family.kind, '')}" for family in FAMILIES} | {*_DAEMON, *_PURPOSE}
    known |= {"active_provider", "provider_info"}
    for family in registry.collect():
        if family.name.startswith("llm_monitor_"):
            known.add(family.name.removeprefix("llm_monitor_") + suffix.get(family.type, ""))
    told = set(re.findall(r"llm_monitor_(\w+)", document("docs/metrics.md")))
    assert told - {""} == known


def test_the_readme_names_every_command() -> None:
    told = set(re.findall(r"^\| `([a-z-]+)[ `]", document("README.md"), re.MULTILINE))
    assert told == {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    } | {group.name for group in app.registered_groups}


def test_the_routes_of_the_management_api_and_their_answers_are_documented() -> None:
    app = FastAPI()
    app.include_router(management)
    told = {
        (row[0], row[1].strip("`")): row[2].split(", ")
        for row in rows(document("docs/management.md"))
        if row[0] in {"GET", "POST", "PUT", "DELETE"}
    }
    prefix = "/api/v1/llm-config"
    known = {
        (method.upper(), path.removeprefix(prefix)): sorted(operation["responses"])
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    }
    assert told == known


def test_every_request_and_answer_of_the_management_api_has_an_example() -> None:
    app = FastAPI()
    app.include_router(management)
    schemas = app.openapi()["components"]["schemas"]
    for name, schema in schemas.items():
        plain = {"Message", "Health", "Problem", "FieldProblem", "FieldProblems"}
        assert name in plain or schema.get("examples"), name
    for operations in app.openapi()["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert operation["description"]


def test_every_link_of_the_documents_leads_to_a_file() -> None:
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
