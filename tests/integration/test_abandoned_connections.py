"""A connection that is given up at any moment is nobody's fault, and nothing is told of it."""

import asyncio
import gc
import logging
import socket

import pytest

from monitor.storage.address import Address, connect

MOMENTS = 30


async def give_up_at(moment: int, address: Address) -> None:
    """Begin to connect and give it up after so many turns of the loop."""
    attempt = asyncio.create_task(connect(address))
    for _ in range(moment):
        await asyncio.sleep(0)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_connection_given_up_at_any_moment_leaves_no_word(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(MOMENTS)
        address = Address(dsn=f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d")
        for moment in range(MOMENTS):
            await give_up_at(moment, address)
    gc.collect()
    assert caplog.messages == []


async def test_another_lost_exception_is_told_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    lost = asyncio.get_running_loop().create_future()
    lost.set_exception(ConnectionError("the other end is gone"))
    del lost
    gc.collect()
    assert [(record.name, record.levelno) for record in caplog.records] == [("asyncio", logging.ERROR)]
