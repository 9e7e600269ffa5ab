"""A door in front of PostgreSQL that knows which statement goes through, and can stop the world just then.

The program has no failpoints: whoever wants to kill somebody between two statements of its transactions lets
it connect through here. Of the protocol that is read alone which names a statement.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from monitor.storage.address import Address
from monitor.storage.queries import QUERIES

SOCKET_NAME = ".s.PGSQL.5432"
CANCEL_REQUEST = 80877102
LOCK, COMMIT, COMMITTED = "lock_active", "commit", "committed"

# By their first lines, which are comments: what follows may have been filled in.
_NAMES = {query.partition("\n")[0]: name for name, query in QUERIES.items()} | {"COMMIT;": COMMIT}
# Those of savepoints have made-up names.
_SAVEPOINTS = {"SAVEPOINT": "savepoint", "RELEASE SAVEPOINT": "release"}


@dataclass(eq=False)
class _Session:
    """What one connection has prepared, and where it stands.

    Attributes:
        prepared: texts of statements by their names.
        told: a statement was told since the last Sync: an executemany counts once.
        moves: it is between `lock_active` and the end of that transaction.
        committing: its commit was sent and is not answered yet.
    """

    prepared: dict[str, str] = field(default_factory=dict)
    told: bool = False
    moves: bool = False
    committing: bool = False


@dataclass
class StatementProxy:
    """Passes everything on, and calls back once at a chosen statement of a transaction that locks the row.

    Attributes:
        address: of the door.
        seen: the statements of the last such transaction, by the names of the queries.
        sprung: the trap has sprung; `acted` says when its work is done.
    """

    address: Address
    upstream: Path
    seen: list[str] = field(default_factory=list)
    sprung: bool = False
    _moment: str | None = None
    _act: Callable[[], Awaitable[None]] | None = None
    _acted: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def at(self, moment: str, act: Callable[[], Awaitable[None]]) -> None:
        """Set the trap.

        Args:
            moment: a query's name, `commit`, or `committed`: before the answer to the commit is passed on.
            act: awaited before the statement (or that answer) goes on.
        """
        self._moment, self._act = moment, act
        self.sprung = False
        self._acted.clear()

    async def acted(self, seconds: float = 20) -> None:
        """Wait until the trap has sprung, and what it did is done."""
        async with asyncio.timeout(seconds):
            await self._acted.wait()

    async def _spring(self, moment: str) -> None:
        if moment == self._moment and self._act is not None:
            self._moment, act, self.sprung = None, self._act, True
            # What it does may well end the session that it is called from.
            await asyncio.shield(asyncio.create_task(self._run(act)))

    async def _run(self, act: Callable[[], Awaitable[None]]) -> None:
        await act()
        self._acted.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream: asyncio.StreamWriter | None = None
        try:
            answers, upstream = await asyncio.open_unix_connection(str(self.upstream))
            session = _Session()
            ways = [
                asyncio.create_task(self._pass_on(session, reader, upstream)),
                asyncio.create_task(self._pass_back(session, answers, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # nobody is behind the door: whoever knocks sees it close
        finally:
            self._tasks.discard(task)
            for one in (writer, upstream):
                if one is not None:
                    one.close()
                    with suppress(OSError):
                        await one.wait_closed()

    async def _pass_on(
        self, session: _Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            # The first message has no type, and a request to cancel is the last one too.
            size = await reader.readexactly(4)
            start = size + await reader.readexactly(struct.unpack("!i", size)[0] - 4)
            writer.write(start)
            if struct.unpack("!i", start[4:8])[0] == CANCEL_REQUEST:
                return
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
                await self._look(session, head[:1], body)
                writer.write(head + body)
                await writer.drain()

    async def _pass_back(
        self, session: _Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while answer := await reader.read(65536):
                if session.committing:
                    session.committing = False
                    await self._spring(COMMITTED)
                writer.write(answer)
                await writer.drain()

    async def _look(self, session: _Session, kind: bytes, body: bytes) -> None:
        words = [word.decode(errors="replace") for word in body.split(b"\0", 2)]
        match kind:
            case b"P":
                session.prepared[words[0]] = words[1]
            case b"B":
                # Not at the Execute that follows: what a statement sees is settled when it is bound.
                if not session.told:
                    session.told = True
                    await self._tell(session, session.prepared.get(words[1], ""))
            case b"S":
                session.told = False
            case b"Q":
                await self._tell(session, words[0])
            case _:
                pass

    async def _tell(self, session: _Session, statement: str) -> None:
        words = statement.rpartition(" ")[0]
        name = _SAVEPOINTS.get(words) or _NAMES.get(statement.partition("\n")[0], statement)
        if name == LOCK:
            session.moves = True
            self.seen = []
        if not session.moves:
            return
        self.seen.append(name)
        await self._spring(name)
        if name in (COMMIT, "ROLLBACK;"):
            session.moves = False
            session.committing = name == COMMIT


@asynccontextmanager
async def statement_proxy(upstream: Address, folder: Path) -> AsyncIterator[StatementProxy]:
    """Open the door in a folder of its own.

    Args:
        upstream: a server on a unix socket.
        folder: short, and not the server's.
    """
    assert upstream.host is not None
    door = Address(host=str(folder), port=5432, user=upstream.user, database=upstream.database)
    proxy = StatementProxy(address=door, upstream=Path(upstream.host) / SOCKET_NAME)
    server = await asyncio.start_unix_server(proxy._serve, str(folder / SOCKET_NAME))
    try:
        yield proxy
    finally:
        server.close()
        for task in list(proxy._tasks):
            task.cancel()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
        await server.wait_closed()
