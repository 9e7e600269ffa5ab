"""A certificate that is renewed while the door is open."""

import asyncio
import ssl
from pathlib import Path

import structlog

from monitor.web.certificate import load_certificate
from monitor.web.renewal import renew
from tests.certificates import make_certificate


async def served(port: int) -> bytes:
    """The certificate that a new connection is shown, DER."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return shown


def written(cert: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(cert.read_text())


async def test_a_renewed_certificate_is_served_and_a_broken_one_is_not(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    context = load_certificate(cert, key)
    assert context is not None
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    with structlog.testing.capture_logs() as logs:
        renewal = asyncio.create_task(renew(context, cert, key, look_seconds=0.02))
        try:
            first = written(cert)
            assert await served(port) == first
            other_cert, other_key = make_certificate(tmp_path, "other")
            other_cert.replace(cert)  # and the key has not come yet
            await said(logs, "certificate_not_renewed")
            assert await served(port) == first
            other_key.replace(key)
            await said(logs, "certificate_renewed")
            assert await served(port) == written(cert) != first
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)
            server.close()
            await server.wait_closed()


async def said(logs: list[structlog.typing.EventDict], event: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 10
    while not any(one["event"] == event for one in logs):
        assert loop.time() < deadline, event
        await asyncio.sleep(0.02)
