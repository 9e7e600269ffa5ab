"""The TypeScript compiler holds the dashboards' JSON against Grafana's own types."""

import asyncio
import copy
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.dashboards import NAMES, load
from tests.system.packages import installed

PROJECT = Path(__file__).parent / "grafana_schema"
_WRONG_OVERRIDES: dict[str, dict[str, object]] = {
    "override_of_nothing": {"id": "custom.widths", "value": 80},
    "override_with_a_wrong_value": {"id": "custom.width", "value": "80"},
    "override_with_a_wrong_unit": {"id": "unit", "value": 1},
}
_WRONG_SETTINGS: dict[str, dict[str, object]] = {
    "wrong_tooltip": {"graphTooltip": 7},
    "unknown_setting": {"refreshes": "30s"},
    "missing_version": {"schemaVersion": None},
    "wrong_link": {"links": [{"title": "x", "url": "/d/x"}]},
    "wrong_variable": {"templating": {"list": [{"name": "x", "type": "queries"}]}},
}
IMPORTS = 'import type { Frame, PanelOf, Row } from "./shapes";\n'


def constants(name: str, dashboard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A dashboard as constants of their types, by name: its frame, and each panel."""
    frame = {key: value for key, value in dashboard.items() if key != "panels"}
    yield f"{name}_frame", f"Frame = {json.dumps(frame)}"
    for panel in dashboard["panels"]:
        kind = "Row" if panel["type"] == "row" else f"PanelOf<{json.dumps(panel['type'])}>"
        yield f"{name}_{panel['id']}", f"{kind} = {json.dumps(panel)}"


def written(found: Mapping[str, str]) -> str:
    """A module with a constant on each line."""
    return IMPORTS + "".join(f"export const {name}: {text};\n" for name, text in found.items())


def panel_of(kind: str) -> dict[str, Any]:
    """A panel of ours of a type."""
    return next(copy.deepcopy(one) for name in NAMES for one in load(name)["panels"] if one["type"] == kind)


def spoilt() -> dict[str, str]:
    """What is right in all but one thing, by what is wrong with it."""
    found: dict[str, str] = {}

    def panel(name: str, kind: str, spoil: Callable[[dict[str, Any]], object], shape: str = "") -> None:
        one = panel_of(kind)
        spoil(one)
        found[name] = f"PanelOf<{json.dumps(shape or kind)}> = {json.dumps(one)}"

    panel("unknown_option", "stat", lambda one: one["options"].update(colourMode="value"))
    panel("unknown_word", "stat", lambda one: one["options"].update(colorMode="backgroundsolid"))
    panel("missing_option", "stat", lambda one: one["options"].pop("reduceOptions"))
    panel("option_of_another_panel", "bargauge", lambda one: one["options"].update(colorMode="value"))
    panel("unknown_own_field", "timeseries", lambda one: one["fieldConfig"]["defaults"]["custom"].update(x=1))
    panel("unknown_field", "table", lambda one: one["fieldConfig"]["defaults"].update(units="s"))
    panel("wrong_threshold", "stat", lambda one: one["fieldConfig"]["defaults"].update(thresholds=[1]))
    panel("wrong_color", "stat", lambda one: one["fieldConfig"]["defaults"]["color"].update(mode="red"))
    panel("heat_scheme", "heatmap", lambda one: one["options"]["color"].update(mode="schemes"))
    panel("band_alignment", "state-timeline", lambda one: one["options"].update(alignValue="middle"))
    panel("missing_expression", "stat", lambda one: one["targets"][0].pop("expr"))
    panel("unknown_format", "stat", lambda one: one["targets"][0].update(format="tabular"))
    panel("unknown_part", "stat", lambda one: one.update(descriptions="twice"))
    panel("another_type", "stat", lambda one: None, "table")
    panel("unknown_type", "stat", lambda one: None, "statt")
    for name, value in _WRONG_OVERRIDES.items():
        one = panel_of("table")
        one["fieldConfig"]["overrides"][0]["properties"].append(value)
        found[name] = f'PanelOf<"table"> = {json.dumps(one)}'
    for name, value in _WRONG_SETTINGS.items():
        frame = {key: value for key, value in load("overview").items() if key != "panels"}
        found[name] = f"Frame = {json.dumps(frame | value)}"
    return found


async def run(folder: Path, program: str, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "CI": "true"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace")


async def test_every_field_of_a_dashboard_is_one_that_grafana_knows(tmp_path: Path) -> None:
    npm = await asyncio.to_thread(installed, "npm")
    project = tmp_path / "schema"
    await asyncio.to_thread(shutil.copytree, PROJECT, project)
    code, said = await run(project, npm, "ci")
    assert code == 0, said

    ours = {one: text for name in NAMES for one, text in constants(name, load(name))}
    wrong = spoilt()
    (project / "ours.ts").write_text(written(ours), encoding="utf-8")
    (project / "wrong.ts").write_text(written(wrong), encoding="utf-8")
    node = await asyncio.to_thread(installed, "node", "nodejs")
    _, said = await run(project, node, "node_modules/typescript/bin/tsc", "--pretty", "false", "-p", ".")

    complaints = re.findall(r"^(\w+)\.ts\((\d+),\d+\): error TS\d+: (.+)", said, re.MULTILINE)
    assert {file for file, _, _ in complaints} == {"wrong"}, said
    lines = dict(enumerate(wrong, IMPORTS.count("\n") + 1))
    assert {lines[int(line)] for _, line, _ in complaints} == set(wrong), said
