"""Sockets to listen on, or an error that names the setting to change."""

import asyncio
import errno
import socket
from contextlib import ExitStack

_BACKLOG = 128
_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class ListenError(Exception):
    """An address that cannot be listened on; the operator's to mend.

    Attributes:
        setting: the name of the setting to change.
        host: as it was set.
        port: as it was set.
    """

    def __init__(self, setting: str, host: str, port: int, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.host = host
        self.port = port


async def listen(
    host: str, port: int, *, host_setting: str = "MONITOR_HOST", port_setting: str = "MONITOR_PORT"
) -> list[socket.socket]:
    """Listen on every address of a host that this machine has.

    Args:
        host: an IP address or a name.
        port: 0 for any free one, the same on all addresses.
        host_setting: where the host was set, for the error.
        port_setting: where the port was set, for the error.

    Raises:
        ListenError: the host is unknown or not of this machine, or the port is taken, privileged or none.
    """
    if not 0 <= port <= 65535:
        raise ListenError(port_setting, host, port, f"{port} is no port: set one from 1 to 65535")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        problem = f"no address is known for {host!r}: set an address of this machine, such as 127.0.0.1"
        raise ListenError(host_setting, host, port, problem) from error
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    sockets: list[socket.socket] = []
    with ExitStack() as undo:
        for family, address in addresses:
            chosen = port or (sockets[0].getsockname()[1] if sockets else 0)
            try:
                sock = _open(family, (address[0], chosen, *address[2:]), only_v6=len(addresses) > 1)
            except OSError as error:
                # `localhost` is ::1 too, also where there is no IPv6.
                if error.errno in _NO_SUCH_ADDRESS and (sockets or (family, address) != addresses[-1]):
                    continue
                raise explain(error, host, port, host_setting, port_setting) from error
            sockets.append(sock)
            undo.callback(sock.close)
        undo.pop_all()
    return sockets


def explain(error: OSError, host: str, port: int, host_setting: str, port_setting: str) -> ListenError:
    """What the system refused, as something that an operator can mend."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        problem = f"{place} is in use: stop the program that listens there, or set another port"
        return ListenError(port_setting, host, port, problem)
    if error.errno in {errno.EACCES, errno.EPERM}:
        problem = (
            f"{place} is not open to this user: set a port of 1024 or more, or grant CAP_NET_BIND_SERVICE"
        )
        return ListenError(port_setting, host, port, problem)
    if error.errno in _NO_SUCH_ADDRESS:
        problem = (
            f"this machine has no address {host}: set one of its own, such as 127.0.0.1, or 0.0.0.0 for all"
        )
        return ListenError(host_setting, host, port, problem)
    return ListenError(
        host_setting, host, port, f"cannot listen on {place}: {error.strerror or type(error).__name__}"
    )


def _open(family: socket.AddressFamily, address: tuple[str | int, ...], *, only_v6: bool) -> socket.socket:
    # asyncio sets TCP_NODELAY only on what says that it is TCP; without, answers wait 40 ms for an ACK.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6)
        sock.setblocking(False)
        sock.bind(address)
        sock.listen(_BACKLOG)  # now, because a port that is merely bound elsewhere is refused only here
    except BaseException:
        sock.close()
        raise
    return sock
