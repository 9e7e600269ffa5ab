"""uvicorn inside our event loop: no signals, no log of requests, a bounded end."""

import asyncio
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from monitor.web.listen import listen

_GRACE_SECONDS = 2


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepts = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals to the daemon, which has more to stop than this."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepts.set()


class WebServer:
    """Serves one application on one host and port."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        host_setting: str = "MONITOR_HOST",
        port_setting: str = "MONITOR_PORT",
        certificate: ssl.SSLContext | None = None,
    ) -> None:
        self._app = app
        self._certificate = certificate
        self._host = host
        self._port = port
        self._host_setting = host_setting
        self._port_setting = port_setting
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; the one asked for before the start."""
        return self._port

    async def start(self) -> None:
        """Listen, and return when requests are answered.

        Raises:
            ListenError: the address cannot be listened on.
        """
        sockets = await listen(
            self._host, self._port, host_setting=self._host_setting, port_setting=self._port_setting
        )
        self._port = sockets[0].getsockname()[1]
        certificate = self._certificate
        config = uvicorn.Config(
            self._app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,  # its loggers stay as logs.py sets them up, for what is a warning or worse
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the guard reads them, after it has seen who really asks
            ssl_context_factory=None if certificate is None else lambda *_: certificate,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._server = server = _Server(config)
        self._serving = serving = asyncio.create_task(server.serve(sockets), name="web server")
        accepts = asyncio.create_task(server.accepts.wait())
        try:
            await asyncio.wait({serving, accepts}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            accepts.cancel()
            if not server.accepts.is_set():
                serving.cancel()
                for sock in sockets:
                    sock.close()
        if serving.done():
            await serving

    async def stop(self) -> None:
        """Take no more requests, let the running ones end within two seconds, close every connection."""
        server, serving = self._server, self._serving
        if server is None or serving is None:
            return
        self._server = self._serving = None
        server.should_exit = True
        try:
            await asyncio.wait({serving}, timeout=_GRACE_SECONDS + 1)
        finally:
            serving.cancel()
            for request in list(server.server_state.tasks):
                request.cancel()
            for connection in list(server.server_state.connections):
                connection.transport.abort()  # a reader that takes nothing would hold it for ever
        await asyncio.wait({serving})
        if not serving.cancelled() and (error := serving.exception()) is not None:
            raise error
