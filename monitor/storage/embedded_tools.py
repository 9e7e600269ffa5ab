"""PostgreSQL's own programs that save and load a database, fed and read through pipes."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress

from monitor.storage.address import Address
from monitor.storage.embedded_binaries import find_package
from monitor.storage.embedded_folder import EmbeddedError

_PIECE = 1 << 18
_LOCK_WAIT = "30s"


async def dump(address: Address, snapshot: str) -> AsyncGenerator[bytes, None]:
    """A database in pg_dump's custom format, which newer versions of PostgreSQL load too.

    Args:
        address: on a socket.
        snapshot: what it shows, exported by a transaction that is still open.

    Raises:
        EmbeddedError: pg_dump failed; the message is its own.
    """
    options = ["--format=custom", f"--snapshot={snapshot}", f"--lock-wait-timeout={_LOCK_WAIT}"]
    async with _running("pg_dump", address, options, stdout=asyncio.subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        while piece := await process.stdout.read(_PIECE):
            yield piece


async def load(address: Address, pieces: Iterable[bytes]) -> None:
    """Fill an empty database with what `dump` gave.

    Raises:
        EmbeddedError: pg_restore failed; the message is its own.
    """
    options = ["--exit-on-error", "--no-password"]
    async with _running("pg_restore", address, options, stdin=asyncio.subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        # When it ends early, its exit status and its words say why.
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                process.stdin.write(piece)
                await process.stdin.drain()
        process.stdin.close()


@asynccontextmanager
async def _running(
    program: str,
    address: Address,
    options: Sequence[str],
    *,
    stdin: int = asyncio.subprocess.DEVNULL,
    stdout: int = asyncio.subprocess.DEVNULL,
) -> AsyncIterator[asyncio.subprocess.Process]:
    place = ["--host", str(address.host), "--port", str(address.port), "--username", str(address.user)]
    environment = {"PATH": os.defpath, "LC_ALL": "C", "PGCONNECT_TIMEOUT": "10"}
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    path = find_package() / "pginstall" / "bin" / program
    try:
        process = await asyncio.create_subprocess_exec(
            str(path),
            *place,
            "--dbname",
            str(address.database),
            *options,
            stdin=stdin,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
    except OSError as error:
        raise EmbeddedError(
            f"{path} can't be run ({error.strerror}): install the program anew, or free memory"
        ) from error
    assert process.stderr is not None  # noqa: S101 - it is a pipe
    words = asyncio.create_task(process.stderr.read())
    try:
        yield process
        code = await process.wait()
    except BaseException:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise
    finally:
        said = (await words).decode(errors="replace")
    if code:
        raise EmbeddedError(f"{program} failed ({code}): {' / '.join(said.split(chr(10))[:3]).strip(' /')}")
