"""Bounds how often one client may guess: failures per address, in bounded memory."""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

BURST = 10
EVERY_SECONDS = 6.0
MOST_ADDRESSES = 10_000


class Throttle:
    """A bucket of failures for each address: it holds ten, and one runs out of it every six seconds.

    Only failures are counted, so whoever holds a good token never meets it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """An empty one.

        Args:
            clock: monotonic seconds.
        """
        self._clock = clock
        self._full_until: OrderedDict[str, float] = OrderedDict()

    def fail(self, address: str) -> int | None:
        """Count a failure.

        Returns:
            None while there is room; else the seconds after which there is again.
        """
        now, client = self._clock(), _client(address)
        # As in GCRA: one instant says it all, the one at which the bucket will be empty.
        empty_at = max(self._full_until.get(client, now), now) + EVERY_SECONDS
        over = empty_at - now - BURST * EVERY_SECONDS
        if over > 0:
            return ceil(over)
        self._full_until[client] = empty_at
        self._full_until.move_to_end(client)
        if len(self._full_until) > MOST_ADDRESSES:
            self._full_until.popitem(last=False)
        return None

    def __len__(self) -> int:
        return len(self._full_until)


def _client(address: str) -> str:
    """One client: an IPv4 address, or the /64 that an IPv6 client may choose its addresses from."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:100]
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
