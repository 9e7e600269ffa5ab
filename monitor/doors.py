"""The daemon's HTTP doors: builds what they serve, opens and closes them."""

from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.web import DaemonState, WebServer, create_app, create_open_app


class Doors:
    """The main door, and the one for the open pages alone where a setting asks for it."""

    def __init__(self, settings: Settings, state: DaemonState, metrics: Metrics) -> None:
        self._settings = settings
        self._servers = [WebServer(create_app(state, metrics), settings.host, settings.port)]
        if settings.metrics_listen is not None:
            host, port = settings.metrics_listen
            self._servers.append(
                WebServer(
                    create_open_app(state, metrics),
                    host,
                    port,
                    host_setting="MONITOR_METRICS_LISTEN",
                    port_setting="MONITOR_METRICS_LISTEN",
                )
            )

    @property
    def url(self) -> str:
        """Where the main door answers."""
        return f"http://{self._settings.host}:{self._servers[0].port}"

    async def open(self) -> None:
        """Answer requests; either all doors are open, or none.

        Raises:
            ListenError: an address can't be listened on.
        """
        try:
            for server in self._servers:
                await server.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Answer no more; the doors that were never opened stay closed."""
        for server in self._servers:
            await server.stop()
