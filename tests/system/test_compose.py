"""The compose files pass the tools that read them; an engine that runs them is not here."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.compose_files import ROOT, SIDECAR, SIDECAR_VARIABLES, STACK, mounts, services
from tests.system.packages import installed


def configure(file: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """What compose makes of a file."""
    return subprocess.run(
        [installed("docker-compose"), f"--file={file}", "config", "--services"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere", **variables},
    )


@pytest.mark.parametrize(("file", "variables"), [(STACK, {}), (SIDECAR, SIDECAR_VARIABLES)])
def test_compose_reads_the_file(file: Path, variables: dict[str, str]) -> None:
    done = configure(file, **variables)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == set(services(file))


@pytest.mark.parametrize("missing", sorted(SIDECAR_VARIABLES))
def test_a_secret_that_is_not_given_is_asked_for(missing: str) -> None:
    given = {name: value for name, value in SIDECAR_VARIABLES.items() if name != missing}
    done = configure(SIDECAR, **given)
    assert done.returncode != 0
    assert missing in done.stderr


def test_prometheus_and_alertmanager_read_what_is_mounted(tmp_path: Path) -> None:
    for service in ("prometheus", "alertmanager"):
        for place, source in mounts(STACK, service).items():
            if source.startswith("./"):
                target = tmp_path / place.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, target)
    for program, package, command, option in (
        ("promtool", "prometheus", ("check", "config"), "prometheus"),
        ("amtool", "prometheus-alertmanager", ("check-config",), "alertmanager"),
    ):
        started = services(STACK)[option]["command"]
        (named,) = [one for one in started if one.startswith("--config.file=")]
        place = tmp_path / named.partition("=")[2].lstrip("/")
        done = subprocess.run(
            [installed(program, package), *command, place], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
