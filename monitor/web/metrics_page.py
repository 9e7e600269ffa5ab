"""The page at /metrics: written in a thread, shared by everyone who asks within a second."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from monitor.metrics import Metrics, TextFormat

_KEPT_SECONDS = 1.0
_GZIP = 16 + zlib.MAX_WBITS


class _Form(NamedTuple):
    format: TextFormat
    gzip: bool


class MetricsPage:
    """Answers scrapes; however many come and however large the page, the event loop goes on.

    The threads are its own: name resolution uses the event loop's, and a DNS server that hangs would take
    /metrics along just when it is needed. One writes, and another compresses what is written already, for
    which it does not need the interpreter.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")
        self._compressor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics-gzip")
        self._pages: dict[_Form, asyncio.Future[list[bytes]]] = {}

    async def answer(self, request: Request) -> Response:
        """The page in the format and encoding that the scraper accepts."""
        form = _Form(
            TextFormat.choose(request.headers.get("accept", "")),
            _accepts_gzip(request.headers.get("accept-encoding", "")),
        )
        # Shielded, because others may wait for the same page when this scraper hangs up.
        pieces = await asyncio.shield(self._page(form))
        headers = {
            "content-type": form.format.content_type,
            "content-length": str(sum(map(len, pieces))),
            "vary": "accept, accept-encoding",
        }
        if form.gzip:
            headers["content-encoding"] = "gzip"
        return StreamingResponse(_walk(pieces), headers=headers)

    def _page(self, form: _Form) -> asyncio.Future[list[bytes]]:
        page = self._pages.get(form)
        if page is None:
            loop = asyncio.get_running_loop()
            page = self._pages[form] = loop.run_in_executor(self._thread, self._write, form)
            # Forgotten after its second, not replaced by the next one: no large page is kept between scrapes.
            page.add_done_callback(lambda _: loop.call_later(_KEPT_SECONDS, self._pages.pop, form, None))
        return page

    def _write(self, form: _Form) -> list[bytes]:
        pieces = self._metrics.chunks(form.format)
        if not form.gzip:
            return list(pieces)
        # The text repeats itself so much that level 1 leaves 3 %.
        gzip = zlib.compressobj(level=1, wbits=_GZIP)
        compressed = [self._compressor.submit(gzip.compress, piece) for piece in pieces]
        compressed.append(self._compressor.submit(gzip.flush))
        return [piece for one in compressed if (piece := one.result())]


def _accepts_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        coding, *parameters = (word.strip() for word in part.split(";"))
        if coding == "gzip":
            return not any(word.replace(" ", "").rstrip("0.") == "q=" for word in parameters)
    return False


async def _walk(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
