"""Takes up a renewed certificate while the daemon runs: it lives for months, certificates for weeks."""

import asyncio
import ssl
from pathlib import Path

import structlog

from monitor.web.certificate import CertificateError, read_into

LOOK_SECONDS = 30.0

log = structlog.get_logger()


async def renew(
    context: ssl.SSLContext, cert: Path, key: Path, *, look_seconds: float = LOOK_SECONDS
) -> None:
    """Look at the files now and then, until cancelled; what does not fit is tried again when it changes.

    Args:
        context: of the door; its new connections get the new certificate.
        cert: the certificate's file.
        key: its key's.
        look_seconds: how often to look.
    """
    seen = _state(cert, key)
    while True:
        await asyncio.sleep(look_seconds)
        state = _state(cert, key)
        if state == seen:
            continue
        seen = state
        try:
            read_into(context, cert, key)
        except CertificateError as error:
            log.warning("certificate_not_renewed", reason=str(error))
        else:
            log.info("certificate_renewed", file=str(cert))


def _state(*files: Path) -> tuple[tuple[int, int, int] | None, ...]:
    found: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            status = file.stat()
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        except OSError:
            found.append(None)
    return tuple(found)
