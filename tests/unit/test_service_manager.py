"""What systemd is told, on a socket like its own."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.domain.application_status import ApplicationStatus
from monitor.domain.provider import Purpose
from monitor.domain.standing_line import Serving, standing_line
from monitor.service_manager import ServiceManager
from monitor.supervision import Supervision

PID = 4711


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """An address as $NOTIFY_SOCKET names it, and who listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        if request.param == "path":
            address = str(tmp_path / "notify")
            sock.bind(address)
        else:
            address = f"@llm-monitor-test-{tmp_path.name}-{id(sock)}"
            sock.bind("\0" + address[1:])
        sock.setblocking(False)
        yield address, sock


def heard(sock: socket.socket) -> list[list[str]]:
    messages = []
    while True:
        try:
            messages.append(sock.recv(65536).decode().split("\n"))
        except BlockingIOError:
            return messages


class Daemon:
    def __init__(self) -> None:
        self.is_settled, self.is_turning, self.line = False, True, "starting"

    def settled(self) -> bool:
        return self.is_settled

    def turns(self) -> bool:
        return self.is_turning

    def standing(self) -> str:
        return self.line


def test_it_speaks_systemds_protocol(listener: tuple[str, socket.socket]) -> None:
    address, sock = listener
    manager = ServiceManager(address)
    assert manager.ready("chat: gpu-1 (healthy)")
    assert manager.status("chat: gpu-2 (healthy)")
    assert manager.still_starting(timedelta(seconds=5), "waits")
    assert manager.feed_watchdog()
    assert manager.stopping()
    assert heard(sock) == [
        ["READY=1", "STATUS=chat: gpu-1 (healthy)"],
        ["STATUS=chat: gpu-2 (healthy)"],
        ["EXTEND_TIMEOUT_USEC=5000000", "STATUS=waits"],
        ["WATCHDOG=1"],
        ["STOPPING=1", "STATUS=ending"],
    ]
    assert manager.reloading()
    [[word, instant]] = heard(sock)
    assert word == "RELOADING=1"
    assert instant.removeprefix("MONOTONIC_USEC=").isdecimal()
    manager.close()


def test_a_name_of_a_provider_says_nothing_to_systemd(listener: tuple[str, socket.socket]) -> None:
    address, sock = listener
    manager = ServiceManager(address)
    manager.status("chat: gpu\nWATCHDOG=trigger\r\u2028\x00end \ud800 " + "x" * 1000)
    [[line]] = heard(sock)
    assert line.startswith("STATUS=chat: gpu WATCHDOG=trigger end ? xxx")
    assert line.endswith("...")
    assert len(line) < 600
    manager.close()


def test_the_environment_names_it_once(listener: tuple[str, socket.socket]) -> None:
    address, _ = listener
    env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(PID), "PATH": "/bin"}
    manager = ServiceManager.from_environment(env, PID)
    assert manager.watchdog == timedelta(seconds=30)
    assert env == {"PATH": "/bin"}, "no child speaks for us"
    for other in ({"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}):
        env = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"} | other
        assert ServiceManager.from_environment(env, PID).watchdog is None


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    assert ServiceManager().ready("fine")
    assert ServiceManager.from_environment({"WATCHDOG_USEC": "1000000"}, PID).watchdog is None
    assert ServiceManager("vsock:2:1").ready("a kind of socket that we do not speak")
    gone = ServiceManager(str(tmp_path / "gone"))
    assert not gone.ready("said again by whoever calls")
    gone.close()


def test_it_is_ready_when_the_start_is_over_and_says_what_changes(
    listener: tuple[str, socket.socket],
) -> None:
    address, sock = listener
    manager, daemon = ServiceManager(address), Daemon()
    supervision = Supervision(manager, daemon)
    supervision.look()
    [[first, status]] = heard(sock)
    assert first.startswith("EXTEND_TIMEOUT_USEC=")
    assert status == "STATUS=starting"
    daemon.is_settled, daemon.line = True, "the database does not answer"
    supervision.look()
    assert heard(sock) == [["READY=1", "STATUS=the database does not answer"]]
    supervision.look()
    assert heard(sock) == []
    daemon.line = "chat: gpu-1 (healthy)"
    supervision.look()
    assert heard(sock) == [["STATUS=chat: gpu-1 (healthy)"]]
    supervision.reloading()
    daemon.line = "chat: gpu-1 (healthy) | restart to apply: port"
    supervision.reloaded()
    assert [lines[0] for lines in heard(sock)] == ["RELOADING=1", "READY=1"]
    manager.close()


def test_a_manager_that_was_deaf_is_told_again(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    manager, daemon = ServiceManager(str(address)), Daemon()
    daemon.is_settled = True
    supervision = Supervision(manager, daemon)
    supervision.look()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(address))
        sock.setblocking(False)
        supervision.look()
        assert [lines[0] for lines in heard(sock)] == ["READY=1"]
    manager.close()


def test_the_watchdog_is_fed_at_half_its_patience_while_the_schedule_turns(
    listener: tuple[str, socket.socket],
) -> None:
    address, sock = listener
    clock = [100.0]
    manager, daemon = ServiceManager(address, timedelta(seconds=30)), Daemon()
    daemon.is_settled = True
    supervision = Supervision(manager, daemon, monotonic=lambda: clock[0])
    fed = []
    for second in range(100):
        clock[0] = 100.0 + second
        daemon.is_turning = not 20 <= second < 40
        supervision.look()
        fed += [second for lines in heard(sock) if lines == ["WATCHDOG=1"]]
    assert fed == [0, 14, 40, 54, 68, 82, 96], "a look late, and at once when the schedule turns again"
    manager.close()


def test_the_line_says_who_serves_and_what_is_wrong() -> None:
    chat = Serving(purpose=Purpose.CHAT, name="gpu-1", status=ApplicationStatus.HEALTHY)
    search = Serving(
        purpose=Purpose.EMBEDDINGS,
        name="bge",
        status=ApplicationStatus.DOWN,
        stranded=True,
        pinned=True,
        paused=True,
    )
    assert standing_line([chat, search]) == (
        "chat: gpu-1 (healthy); embeddings: bge (down, stranded, pinned, paused)"
    )
    assert standing_line([]) == "no purpose has a provider yet"
    assert standing_line(None, reason="the database does not answer") == "the database does not answer"
    assert standing_line([chat], reason="the database does not answer") == (
        "chat: gpu-1 (healthy) | the database does not answer: nothing moves"
    )
    assert standing_line([chat], complaint="restart to apply: port") == (
        "chat: gpu-1 (healthy) | restart to apply: port"
    )
    assert standing_line(None) == "starting"
