"""A door in front of PostgreSQL through which nothing may pass any more, although nobody hangs up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from monitor.storage.address import Address
from tests.statement_proxy import SOCKET_NAME


@dataclass(eq=False)
class Passage:
    """One connection; `flows` is cleared when it freezes."""

    flows: asyncio.Event
    heard: bytearray = field(default_factory=bytearray)


@dataclass
class FreezingProxy:
    """Passes everything on until it freezes.

    Attributes:
        address: of the door.
        passages: every connection so far.
    """

    address: Address
    upstream: Path
    passages: list[Passage] = field(default_factory=list)
    shut: bool = False
    _ways: set[asyncio.Task[None]] = field(default_factory=set)

    def freeze(self, said: bytes = b"") -> int:
        """Freeze the connections over which this was said (all, and those to come, without a word)."""
        self.shut = self.shut or not said
        frozen = [one for one in self.passages if said in one.heard]
        for one in frozen:
            one.flows.clear()
        return len(frozen)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passage = Passage(asyncio.Event())
        if not self.shut:
            passage.flows.set()
        self.passages.append(passage)
        answers, upstream = await asyncio.open_unix_connection(str(self.upstream))
        ways = [
            asyncio.create_task(self._pass(passage, reader, upstream, passage.heard)),
            asyncio.create_task(self._pass(passage, answers, writer, None)),
        ]
        self._ways.update(ways)
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for one in (writer, upstream):
                one.close()
                with suppress(OSError):
                    await one.wait_closed()
            self._ways.difference_update(ways)

    async def _pass(
        self,
        passage: Passage,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        heard: bytearray | None,
    ) -> None:
        with suppress(OSError):
            while some := await reader.read(65536):
                if heard is not None:
                    heard += some
                await passage.flows.wait()
                writer.write(some)
                await writer.drain()


@asynccontextmanager
async def freezing_proxy(upstream: Address, folder: Path) -> AsyncIterator[FreezingProxy]:
    """Open the door in a folder of its own.

    Args:
        upstream: a server on a unix socket.
        folder: short, and not the server's.
    """
    assert upstream.host is not None
    door = Address(host=str(folder), port=5432, user=upstream.user, database=upstream.database)
    proxy = FreezingProxy(address=door, upstream=Path(upstream.host) / SOCKET_NAME)
    server = await asyncio.start_unix_server(proxy._serve, str(folder / SOCKET_NAME))
    try:
        yield proxy
    finally:
        server.close()
        for way in list(proxy._ways):
            way.cancel()
        await server.wait_closed()
