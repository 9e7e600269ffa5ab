"""Wheel and source distribution hold everything that they need, and nothing that is none of theirs."""

import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from monitor import __version__
from monitor.cli.assets import list_assets
from tests.distribution import ROOT, build, copy_checkout, tracked_files

NAME = f"llm_provider_monitor-{__version__}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build(checkout, tmp_path_factory.mktemp("dist"))


def test_the_wheel_has_every_file_of_the_package_and_every_asset(built: dict[str, Path]) -> None:
    expected = {name for name in tracked_files() if name.startswith("monitor/")}
    expected |= {f"monitor/assets/{name}" for name in list_assets()}
    with zipfile.ZipFile(built["wheel"]) as wheel:
        found = set(wheel.namelist())
        for name, path in list_assets().items():
            assert wheel.read(f"monitor/assets/{name}") == path.read_bytes(), name
    about = {name for name in found if name.startswith(f"{NAME}.dist-info/")}
    assert found - about == expected
    assert {name.partition("/")[2] for name in about} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }


@pytest.mark.parametrize(
    "name",
    [
        "monitor/py.typed",
        "monitor/probing/catalog.toml",
        "monitor/storage/sql/migrations/0001_application_tables.sql",
        "monitor/web/page/static/page.css",
        "monitor/web/page/templates/base.html",
        "monitor/assets/grafana/dashboards/json/overview.json",
        "monitor/assets/grafana/prometheus/alerts.yaml",
        "monitor/assets/grafana/provisioning/dashboards/llm-monitor.yaml",
    ],
)
def test_the_wheel_has_what_is_no_python(built: dict[str, Path], name: str) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        assert len(wheel.read(name)) > 0 or name.endswith("py.typed")


def test_the_source_distribution_is_the_checkout(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    assert found == {*tracked_files(), "PKG-INFO"}


def test_the_source_distribution_builds_the_same_wheel(built: dict[str, Path], tmp_path: Path) -> None:
    with tarfile.open(built["sdist"]) as archive:
        # Debian 12's Python has no filters yet, and later ones warn of their absence.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)  # noqa: S202 - built above
    again = build(tmp_path / NAME, tmp_path / "dist", "wheel")["wheel"]
    assert again.name == built["wheel"].name
    assert again.read_bytes() == built["wheel"].read_bytes()


def test_the_metadata_tells_what_an_index_shows(built: dict[str, Path]) -> None:
    with zipfile.ZipFile(built["wheel"]) as wheel:
        told = HeaderParser().parsestr(wheel.read(f"{NAME}.dist-info/METADATA").decode())
        entries = wheel.read(f"{NAME}.dist-info/entry_points.txt").decode()
    assert told["Version"] == __version__
    assert told["Requires-Python"] == ">=3.11"
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Description-Content-Type"] == "text/markdown"
    assert str(told.get_payload()).startswith("# llm-provider-monitor\n")
    assert "litellm==1.106.2" in told.get_all("Requires-Dist", [])
    for field in ("Author", "Summary", "Keywords", "Project-URL", "Classifier"):
        assert told[field], field
    assert "llm-monitor = monitor.cli:main" in entries


def test_the_version_is_written_in_one_place() -> None:
    written = [
        name
        for name in tracked_files()
        if name.startswith(("monitor/", "pyproject.toml"))
        and f'"{__version__}"' in (ROOT / name).read_text(encoding="utf-8")
    ]
    assert written == ["monitor/__init__.py"]
