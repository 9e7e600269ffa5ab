"""The program is installed from a checkout, and runs, as a user who owns nothing else."""

import signal
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from tests.daemon import free_port
from tests.system.visitor import Visitor
from tests.system.visitor import visitor as make_visitor


@pytest.fixture
def visitor(wheels: Path) -> Iterator[Visitor]:
    with make_visitor(checkout=True) as made:
        made.download_nothing(wheels)
        yield made


@pytest.mark.timeout(600)
def test_an_ordinary_user_installs_and_runs_the_program(visitor: Visitor) -> None:
    python = visitor.python()
    installed = visitor.run("make", f"PYTHON={python}", "install", timeout_seconds=500)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    told = visitor.run(".venv/bin/llm-monitor", "--help")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "run" in told.stdout
    again = visitor.run("make", f"PYTHON={python}", "install")
    assert again.returncode == 0, again.stderr
    assert "installing" not in again.stdout, "the second time there is nothing to do"
    _runs_until_told_to_stop(visitor)


def _runs_until_told_to_stop(visitor: Visitor) -> None:
    """With a PostgreSQL of its own, in the visitor's own data folder, as the visitor alone."""
    output, port = visitor.home / "output", free_port()
    variables = {"MONITOR_DATA_DIR": str(visitor.home / "data"), "MONITOR_PORT": str(port)}
    with visitor.running(".venv/bin/llm-monitor", "run", output=output, **variables) as process:
        deadline = time.monotonic() + 60
        while _status(port, "/readyz") != 200:
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        family = psutil.Process(process.pid).children(recursive=True)
        assert any("postgres" in one.name() for one in family)
        assert {one.uids().real for one in family} == {visitor.uid}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0, output.read_text()
        assert [one for one in family if one.is_running()] == []


def _status(port: int, path: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
