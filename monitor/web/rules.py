"""What a request must be before anybody looks at its token: asked under a name of ours, over a safe way."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorRules:
    """The settings that the guard goes by.

    Attributes:
        host: MONITOR_HOST.
        allowed_hosts: MONITOR_ALLOWED_HOSTS.
        trust_proxy: MONITOR_TRUST_PROXY, each an address or a network.
    """

    host: str = "127.0.0.1"
    allowed_hosts: Sequence[str] = ()
    trust_proxy: Sequence[str] = ()

    def refuse_host(self, header: str | None) -> str | None:
        """Why a Host header is refused, or None.

        A page of somebody else's whose name was made to point at us (DNS rebinding) asks under that name.
        """
        name = host_of(header or "")
        if name is None:
            return "the Host header is missing or no host"
        if is_loopback(name) or name in {fold(self.host), *(fold(one) for one in self.allowed_hosts)}:
            return None
        return f"this server is not known as {name[:100]!r}: add that to MONITOR_ALLOWED_HOSTS if it is right"

    def trusts(self, address: str) -> bool:
        """Whether an address is a proxy's whose word is believed."""
        try:
            peer = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
            peer = peer.ipv4_mapped
        return any(peer in ip_network(one) for one in self.trust_proxy)


def refuse_way(scope: Scope, *, from_proxy: bool) -> str | None:
    """Why the way on which a request came is refused, or None: no token crosses a network in clear text."""
    server = scope.get("server")
    if scope.get("scheme") == "https" or from_proxy or (server is not None and is_loopback(server[0])):
        return None
    return (
        "tokens are not taken over plain HTTP from other machines: set MONITOR_TLS_CERT and MONITOR_TLS_KEY, "
        "or put a proxy with TLS in front and name it in MONITOR_TRUST_PROXY, or ask on 127.0.0.1"
    )


def refuse_other_page(headers: Headers) -> str | None:
    """Why a form is not taken for one of our own pages', or None.

    A browser says itself where a form was sent from, and no page can make it say otherwise. Whoever says
    nothing of the kind is no browser of this decade: a script, which has to have the rest that a write wants.
    """
    site, origin, host = headers.get("sec-fetch-site"), headers.get("origin"), headers.get("host", "")
    ours = site in {"same-origin", "none"} if site is not None else origin is None or _is_of(origin, host)
    return (
        None if ours else "the form was sent from another page than one of this server: nothing was changed"
    )


def _is_of(origin: str, host: str) -> bool:
    scheme, _, named = origin.lower().partition("://")
    usual = {"http": ":80", "https": ":443"}.get(scheme)
    return usual is not None and named.removesuffix(usual) == host.lower().removesuffix(usual)


def host_of(header: str) -> str | None:
    """The name in a Host header, folded, without the port; None when it is none."""
    text = header.strip()
    if text.startswith("["):
        name, closed, rest = text[1:].partition("]")
        if not closed or (rest and not _is_port(rest)):
            return None
    else:
        name, colon, _ = text.partition(":")
        if colon and not _is_port(text[len(name) :]):
            return None
    return fold(name) if name and name.isascii() and name.isprintable() and " " not in name else None


def fold(name: str) -> str:
    """A host's name in the form in which two are compared."""
    bare = name.strip("[]").lower().removesuffix(".")
    try:
        return str(ip_address(bare))
    except ValueError:
        return bare


def is_loopback(name: str) -> bool:
    """Whether a folded name or an address is this machine's own."""
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _is_port(text: str) -> bool:
    return text == ":" or (text.startswith(":") and text[1:].isdecimal() and len(text) <= 6)
