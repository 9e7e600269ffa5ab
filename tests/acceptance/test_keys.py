"""Stored keys that do not open, and the encryption key rotated under a daemon that runs."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from monitor.keyring import Keyring, generate, read_keys
from monitor.storage.address import Address, connect
from monitor.storage.sealing import read_stored_keys
from tests.application_rows import ApplicationRows
from tests.command_line import environment, llm_monitor
from tests.daemon import RunningDaemon, running_daemon
from tests.fault_server import FaultServer

HOSTED, OTHER = "sk-hosted-key-1234567890", "sk-other-key-1234567890"


@pytest.fixture
async def provider() -> AsyncIterator[FaultServer]:
    async with FaultServer(keys={HOSTED, OTHER}) as server:
        yield server


async def add_key(rows: ApplicationRows, vendor: str, sealed: str, provider: FaultServer) -> str:
    return await rows.add_key(vendor, sealed, metadata={"base_url": f"{provider.url}/v1", "model": "m1"})


async def probed_again(daemon: RunningDaemon, rows: ApplicationRows, ref: str, more: int = 3) -> list[str]:
    """The outcomes of the next few deep probes."""
    before = len(await rows.results(ref))

    async def came() -> bool:
        return len(await rows.results(ref)) >= before + more

    await daemon.until(came, f"{more} more probes of {ref}")
    return [one["outcome"] for one in (await rows.results(ref))[before:]]


async def problems(connection: Any) -> dict[str, str]:
    return dict(await connection.fetch("SELECT subject, message FROM monitor.problems"))


@pytest.mark.timeout(180)
async def test_one_key_that_does_not_open_is_left_like_one_that_is_refused(
    database: Address, connection: Any, provider: FaultServer
) -> None:
    rows, secret = ApplicationRows(connection), generate()
    keyring = Keyring(secret)
    good = keyring.seal(HOSTED).text
    first = await add_key(rows, "openai", good, provider)
    second = await add_key(rows, "groq", keyring.seal(OTHER).text, provider)
    await rows.set_active("chat", first, second)
    env = {"DATABASE_URL": database.describe(), "BYOK_ENCRYPTION_KEY": secret}
    async with running_daemon(env) as daemon:
        await daemon.ready()
        for ref in (first, second):
            await daemon.event("health_changed", target=f"{ref}/chat", after="up")
        for broken in (Keyring(generate()).seal(HOSTED).text, "sk-typed-in-by-hand"):
            await rows.change(first, encrypted_key=broken)

            async def has_left() -> bool:
                return await rows.serving() == second

            await daemon.until(has_left, "the purpose to leave the key that does not open")
            move = await connection.fetchrow(
                "SELECT rule, evidence::text FROM monitor.transitions ORDER BY id DESC LIMIT 1"
            )
            assert move["rule"] == "fail_over"
            assert move["evidence"].count("auth_failed") >= 2
            told = (await problems(connection))[first]
            assert told.startswith(f"{first} (openai/main): ")
            assert "store" in told
            assert broken not in "\n".join(daemon.raw)
            assert daemon.process.returncode is None
            status = await llm_monitor("status", env=environment(database))
            assert told in status.out

            await rows.change(first, encrypted_key=good)

            async def is_back() -> bool:
                return await rows.serving() == first and not await problems(connection)

            await daemon.until(is_back, "the purpose to return to the mended key")
        assert await daemon.stop() == 0


@pytest.mark.timeout(180)
async def test_when_no_key_opens_the_fault_is_ours_and_nothing_moves(
    database: Address, connection: Any, provider: FaultServer
) -> None:
    rows, secret, theirs = ApplicationRows(connection), generate(), generate()
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(FaultServer())
        first = await add_key(rows, "openai", Keyring(secret).seal(HOSTED).text, provider)
        second = await rows.add_server("own", "vllm", own.url, model_path="m1", use_for_chat=True)
        await rows.set_active("chat", first, second)
        env = {"DATABASE_URL": database.describe(), "BYOK_ENCRYPTION_KEY": secret}
        async with running_daemon(env) as daemon:
            await daemon.ready()
            for ref in (first, second):
                await daemon.event("health_changed", target=f"{ref}/chat", after="up")
            await rows.change(first, encrypted_key=Keyring(theirs).seal(HOSTED).text)
            await daemon.event("configuration_problem", subject=first)
            # What was under way when the row changed may still come in.
            assert set((await probed_again(daemon, rows, first, 6))[-4:]) == {"indeterminate"}
            assert await rows.serving() == first
            assert await connection.fetchval("SELECT count(*) FROM monitor.transitions") == 0
            assert "mend BYOK_ENCRYPTION_KEY" in (await problems(connection))[first]
            assert daemon.events("block_began") == []
            assert await daemon.stop() == 0
        async with running_daemon(env) as daemon:
            assert await daemon.process.wait() == 2
            assert daemon.reading is not None
            await daemon.reading
            assert "BYOK_ENCRYPTION_KEY opens none of the 1 stored keys" in "\n".join(daemon.raw)
        async with running_daemon(env | {"MONITOR_OLD_ENCRYPTION_KEYS": theirs}) as daemon:
            await daemon.ready()
            await daemon.event("health_changed", target=f"{first}/chat", after="up")
            assert await rows.serving() == first
            assert not await problems(connection)


@pytest.mark.timeout(240)
async def test_the_embedded_databases_key_is_rotated_while_the_daemon_runs(
    open_folder: Path, provider: FaultServer
) -> None:
    folder = open_folder / "data"
    file, env = folder / "encryption.key", {"MONITOR_DATA_DIR": str(folder)}

    async def rotate(*arguments: str) -> tuple[int, str]:
        answer = await llm_monitor("rotate-key", *arguments, env=environment(None, **env))
        return answer.code, answer.out + answer.err

    async with running_daemon(env) as daemon:
        await daemon.ready()
        (at_first,) = read_keys(file)
        connection: Any = await connect(_address(folder))
        rows = ApplicationRows(connection)
        ref = await add_key(rows, "openai", Keyring(at_first).seal(HOSTED).text, provider)
        await rows.set_active("chat", ref)
        await daemon.event("health_changed", target=f"{ref}/chat", after="up")

        code, told = await rotate()
        assert (code, read_keys(file)) == (2, (at_first,)), told
        assert "last written by another program" in told
        code, told = await rotate("--dry-run", "--application-stopped")
        assert (code, read_keys(file)) == (0, (at_first,)), told
        assert told == "would seal 1 stored key with a new key\n"
        code, told = await rotate("--application-stopped")
        assert code == 0, told
        second, *others = read_keys(file)
        assert others == [at_first]
        assert Keyring(second).unseal(await _sealed(connection, ref)) == HOSTED
        assert await probed_again(daemon, rows, ref) == ["ok"] * 3

        # Killed after the file has the new key and before anything is sealed with it.
        other: Any = await connect(_address(folder))
        async with other.transaction():
            await other.execute("UPDATE llm_api_keys SET requests_count = 1")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "monitor", "rotate-key", cwd="/", env=environment(None, **env)
            )
            await daemon.until(lambda: len(read_keys(file)) == 3, "a third key in the file")
            process.kill()
            await process.wait()
        await other.close()
        assert await probed_again(daemon, rows, ref) == ["ok"] * 3
        sealed = await _sealed(connection, ref)
        assert any(Keyring(key).is_current(sealed) for key in read_keys(file))

        async def is_done() -> bool:
            return (await rotate())[0] == 0

        await daemon.until(is_done, "the rotation to be finished")
        assert len(read_keys(file)) == 3, "what was interrupted needs no further key"
        code, told = await rotate("--prune")
        assert code == 0, told
        (last,) = read_keys(file)
        assert last not in (at_first, second)
        assert Keyring(last).unseal(await _sealed(connection, ref)) == HOSTED
        assert await probed_again(daemon, rows, ref) == ["ok"] * 3
        assert daemon.events("target_changed") == [], "the same key sealed anew resets nothing"
        assert daemon.events("block_began") == []
        assert not await problems(connection)
        for secret in (at_first, second, last, HOSTED):
            assert secret not in "\n".join(daemon.raw)
        await connection.close()
        assert await daemon.stop() == 0
    async with running_daemon(env) as daemon:
        await daemon.ready()
        connection = await connect(_address(folder))
        assert await probed_again(daemon, ApplicationRows(connection), ref) == ["ok"] * 3
        await connection.close()


def _address(folder: Path) -> Address:
    return Address(host=str(folder / "socket"), port=5432, user="monitor", database="monitor")


async def _sealed(connection: Any, ref: str) -> Any:
    return next(one.key for one in await read_stored_keys(connection) if str(one.ref) == ref)
