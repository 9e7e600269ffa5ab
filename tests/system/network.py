"""A second machine, as far as a network can tell: a namespace at the end of a virtual cable."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.system.packages import installed

PACKAGES = {"ip": "iproute2", "iptables": "iptables"}


@dataclass(frozen=True, slots=True)
class FarMachine:
    """The far end.

    Attributes:
        name: the namespace's.
        cable: the near end of the cable.
        addresses: of the far end, reachable from here.
    """

    name: str
    cable: str
    addresses: tuple[str, ...]

    @property
    def inside(self) -> tuple[str, ...]:
        """What a command begins with to run there."""
        return ("ip", "netns", "exec", self.name)

    async def filter(self, address: str, *verdict: str) -> None:
        """Let its firewall treat whatever comes for an address so."""
        await run(*self.inside, "iptables", "-I", "INPUT", "-p", "tcp", "-d", address, "-j", *verdict)

    async def unfilter(self) -> None:
        """Take every rule away."""
        await run(*self.inside, "iptables", "-F", "INPUT")

    async def unplug(self) -> None:
        """Pull the cable out here."""
        await run("ip", "link", "set", self.cable, "down")

    async def plug(self) -> None:
        """Put it in again."""
        await run("ip", "link", "set", self.cable, "up")


async def run(*command: str) -> None:
    """Run one command to its end."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 0, f"{' '.join(command)}: {said.decode()}"


def install_tools() -> None:
    """Debian's packages for it, where they are missing."""
    for tool, package in PACKAGES.items():
        installed(tool, package)


@contextmanager
def far_machine(addresses: int) -> Iterator[FarMachine]:
    """A machine with so many addresses on a network of its own, taken away at the end."""
    number = os.getpid()
    # 198.18.0.0/15 is set apart for tests of networks.
    network = f"198.18.{number % 256}"
    machine = FarMachine(
        name=f"llm-monitor-{number}",
        cable=f"lmn{number}",
        addresses=tuple(f"{network}.{host}" for host in range(2, 2 + addresses)),
    )
    far = f"lmf{number}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)  # noqa: S607 - likewise

    ip("netns", "add", machine.name)
    try:
        ip("link", "add", machine.cable, "type", "veth", "peer", "name", far, "netns", machine.name)
        ip("addr", "add", f"{network}.1/24", "dev", machine.cable)
        ip("link", "set", machine.cable, "up")
        for address in machine.addresses:
            ip("-n", machine.name, "addr", "add", f"{address}/24", "dev", far)
        ip("-n", machine.name, "link", "set", far, "up")
        ip("-n", machine.name, "link", "set", "lo", "up")
        yield machine
    finally:
        ip("netns", "del", machine.name)  # the cable goes with its far end
