"""What comes with the program for others to read is laid where an operator says."""

import json
import tomllib
from pathlib import Path

import pytest

from monitor.cli import run_command
from monitor.cli.assets import _IN_A_CHECKOUT, list_assets

ROOT = Path(__file__).parents[2]


def test_a_checkout_names_what_a_wheel_carries() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {name: f"monitor/assets/{name}" for name in _IN_A_CHECKOUT}


def test_assets_are_laid_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["assets"]) == 0
    named = capsys.readouterr().out.splitlines()
    assert "grafana/prometheus/alerts.yaml" in named
    for _ in range(2):
        assert run_command(["assets", str(tmp_path / "here"), "--json"]) == 0
        laid = json.loads(capsys.readouterr().out)
        assert laid == [str(tmp_path / "here" / name) for name in named]
    for name, path in list_assets().items():
        assert (tmp_path / "here" / name).read_bytes() == path.read_bytes()


def test_what_an_operator_changed_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "grafana" / "prometheus" / "recording.yaml"
    changed.parent.mkdir(parents=True)
    changed.write_text("groups: []\n")
    assert run_command(["assets", str(tmp_path)]) == 2
    assert f"{changed} is there and differs" in capsys.readouterr().err
    assert changed.read_text() == "groups: []\n"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [changed]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run_command(["assets", str(tmp_path / "file" / "inside")]) == 2
    told = capsys.readouterr().err
    assert str(tmp_path / "file") in told
    assert "name a folder that can be written" in told
