"""What comes with the program for others to read is laid where an operator says."""

import json
import re
import subprocess
import sys
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


def test_a_disk_that_takes_no_more_leaves_whole_files_and_the_next_try_goes_on(tmp_path: Path) -> None:
    here = tmp_path / "here"
    script = f'ulimit -f 90; exec "{sys.executable}" -m monitor assets "{here}"'
    done = subprocess.run(["/bin/sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done
    assert re.fullmatch(rf"llm-monitor: {here}/grafana/\S+: File too large; name .*", done.stderr.strip())
    laid = [path for path in here.rglob("*") if path.is_file()]
    assert 0 < len(laid) < len(list_assets())
    for path in laid:
        assert path.read_bytes() == list_assets()[path.relative_to(here).as_posix()].read_bytes()
    assert run_command(["assets", str(here)]) == 0
    assert sum(path.is_file() for path in here.rglob("*")) == len(list_assets())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run_command(["assets", str(tmp_path / "file" / "inside")]) == 2
    told = capsys.readouterr().err
    assert str(tmp_path / "file") in told
    assert "name a folder that can be written" in told
