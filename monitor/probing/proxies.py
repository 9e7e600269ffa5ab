"""Which proxy of the environment a request goes through; nothing on this machine ever does."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


class Proxies:
    """The proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY named when the program started."""

    def __init__(self) -> None:
        self._by_scheme = getproxies()

    def for_url(self, url: str) -> str | None:
        """The same for a whole address."""
        if not self._by_scheme:
            return None
        parts = urlsplit(url)
        return self.for_host(parts.scheme, parts.hostname or "")

    def for_host(self, scheme: str, host: str) -> str | None:
        """The proxy's address, or None to connect directly."""
        proxy = self._by_scheme.get(scheme)
        if proxy is None or host in {"localhost", "::1"} or host.startswith("127.") or proxy_bypass(host):
            return None
        return proxy
