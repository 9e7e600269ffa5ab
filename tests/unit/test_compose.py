"""The compose files name what is there, open nothing to other machines and hold no secret."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.keyring import Keyring
from monitor.settings.names import VARIABLES
from tests.compose_files import ROOT, SIDECAR, STACK, mounts, services

FILES = [pytest.param(STACK, id="stack"), pytest.param(SIDECAR, id="sidecar")]
PINNED = re.compile(r"docker\.io/[a-z/-]+:v?\d+\.\d+(\.\d+)?(-bookworm)?")
SECRET = re.compile(r"password|secret|key|token", re.IGNORECASE)
DATABASE_SECRET, MONITOR_SECRET = "/run/secrets/database", "/run/secrets/monitor"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FILES)
def test_ports_are_open_to_this_machine_alone(file: Path) -> None:
    ports = [str(port) for one in services(file).values() for port in one.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports), ports


@pytest.mark.parametrize("file", FILES)
def test_images_are_pinned_or_built_here(file: Path) -> None:
    for name, service in services(file).items():
        if "build" in service:
            place = (file.parent / service["build"]["context"]).resolve()
            assert (place / service["build"]["dockerfile"]).is_file()
            assert service["image"] == "llm-monitor"
        else:
            assert PINNED.fullmatch(service["image"]), name


@pytest.mark.parametrize("file", FILES)
def test_everything_that_is_mounted_is_there(file: Path) -> None:
    volumes = read(file)["volumes"]
    for name in services(file):
        for source in mounts(file, name).values():
            assert source in volumes or (file.parent / source).exists(), f"{name}: {source}"
    used = {source for name in services(file) for source in mounts(file, name).values()}
    assert set(volumes) <= used


@pytest.mark.parametrize("file", FILES)
def test_no_secret_is_written_down(file: Path) -> None:
    for service in services(file).values():
        for name, value in service.get("environment", {}).items():
            if not SECRET.search(name) and "://" not in str(value):
                continue
            from_file = name.endswith("_FILE") and str(value).startswith("/run/secrets/")
            told = re.search(r"\$\{[A-Z_]+:\?.+\}", str(value))
            assert from_file or told, f"{name} is neither a file's nor the operator's"


@pytest.mark.parametrize("file", FILES)
def test_the_program_may_do_no_more_than_it_has_to(file: Path) -> None:
    for name, service in services(file).items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if service["image"] == "llm-monitor":
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("file", FILES)
def test_the_daemon_is_told_by_settings_that_there_are(file: Path) -> None:
    known = set(VARIABLES.values())
    daemons = [one for name, one in services(file).items() if name.startswith("monitor")]
    assert daemons
    for service in daemons:
        named = {name.removesuffix("_FILE") for name in service["environment"]}
        assert named <= known
        assert "/var/lib/llm-monitor" in {entry.split(":")[1] for entry in service["volumes"]}


def test_whoever_reads_a_secret_has_its_volume_and_nobody_else_has() -> None:
    readers: dict[str, set[str]] = {}
    for name, service in services(STACK).items():
        held = {place for place in mounts(STACK, name) if place.startswith("/run/secrets/")}
        wanted = {
            str(Path(value).parent)
            for value in service.get("environment", {}).values()
            if str(value).startswith("/run/secrets/")
        }
        if name != "secrets":
            assert held == wanted, name
            if held:
                assert service["depends_on"]["secrets"]["condition"] == "service_completed_successfully"
        for place in held:
            readers.setdefault(place, set()).add(name)
    assert readers.pop(DATABASE_SECRET) == {"secrets", "postgres", "monitor"}
    assert readers.pop(MONITOR_SECRET) == {"secrets", "monitor"}
    assert readers == {"/run/secrets/grafana": {"secrets", "grafana"}}


def test_secrets_are_made_once_and_are_what_their_readers_want(tmp_path: Path) -> None:
    for name in ("database", "monitor", "grafana"):
        (tmp_path / name).mkdir()
    script = ROOT / "compose" / "make_secrets.py"
    environment = {"PATH": os.environ["PATH"], "MAKE_SECRETS_IN": str(tmp_path)}

    def made() -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, script], env=environment, check=True, capture_output=True, text=True
        )
        found = {
            str(path.relative_to(tmp_path)): path.read_text()
            for path in tmp_path.rglob("*")
            if path.is_file()
        }
        assert not any(secret in done.stdout + done.stderr for secret in found.values())
        return found

    first = made()
    assert made() == first
    named = {
        value
        for service in services(STACK).values()
        for value in service.get("environment", {}).values()
        if str(value).startswith("/run/secrets/")
    }
    assert {f"/run/secrets/{name}" for name in first} == named
    assert len(set(first.values())) == 3
    assert all(len(secret) >= 32 for secret in first.values())
    keyring = Keyring(first["monitor/encryption-key"])
    assert keyring.unseal(keyring.seal("sealed")) == "sealed"
    (tmp_path / "grafana" / "admin-password").unlink()
    assert made()["grafana/admin-password"] != first["grafana/admin-password"]


def test_what_is_provisioned_is_what_is_shipped_under_the_names_of_the_file() -> None:
    shipped = (ROOT / "grafana/prometheus/prometheus.yml").read_text(encoding="utf-8")
    expected = yaml.safe_load(
        shipped.replace("127.0.0.1:9093", "alertmanager:9093").replace("127.0.0.1:9780", "monitor:9780")
    )
    assert read(ROOT / "compose/prometheus.yml") == expected
    source = (ROOT / "grafana/provisioning/datasources/prometheus.yaml").read_text(encoding="utf-8")
    expected = yaml.safe_load(source.replace("127.0.0.1:9090", "prometheus:9090"))
    assert read(ROOT / "compose/datasource.yaml") == expected
    assert {"monitor", "prometheus", "alertmanager"} <= services(STACK).keys()


def test_grafana_finds_dashboards_where_they_are_mounted() -> None:
    seen = mounts(STACK, "grafana")
    (provider,) = read(ROOT / "grafana/provisioning/dashboards/llm-monitor.yaml")["providers"]
    assert seen[provider["options"]["path"]] == "./grafana/dashboards/json"
    assert "/etc/grafana/provisioning/dashboards/llm-monitor.yaml" in seen
    assert "/etc/grafana/provisioning/datasources/prometheus.yaml" in seen


def test_what_comes_from_this_machine_is_trusted_and_nothing_else() -> None:
    (network,) = read(STACK)["networks"]["default"]["ipam"]["config"]
    assert services(STACK)["monitor"]["environment"]["MONITOR_TRUST_PROXY"] == network["gateway"]


def test_every_daemon_of_the_sidecars_shares_the_database_of_the_application() -> None:
    found = services(SIDECAR)
    one, two = found["monitor-1"], found["monitor-2"]
    assert one["environment"] == two["environment"]
    assert one["environment"]["POSTGRES_HOST"] in found
    assert mounts(SIDECAR, "monitor-1") != mounts(SIDECAR, "monitor-2"), (
        "what waits on disk is a daemon's own"
    )
    applications = [found[name] for name in ("application-1", "application-2")]
    assert all("@postgres:5432/app" in one["environment"]["DATABASE_URL"] for one in applications)
    assert {one["environment"]["BYOK_ENCRYPTION_KEY"] for one in (*applications, one, two)} == {
        one["environment"]["BYOK_ENCRYPTION_KEY"]
    }
