"""Cloud metadata services: they hand out the machine's own credentials to whoever asks from inside."""

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from monitor.domain.metadata import RowProblem

SETTING = "MONITOR_ALLOW_METADATA_ADDRESSES"

_NETWORKS = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local: the usual 169.254.169.254, and a container's 169.254.170.2
        "fe80::/10",
        "fd00:ec2::/32",  # Amazon
        "fd20:ce::254/128",  # Google
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure's wire server
        "192.0.0.192/32",  # Oracle
    )
)
_NAMES = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "metadata.tencentyun.com",
        "instance-data",
        "instance-data.ec2.internal",
    }
)
_NAT64 = ip_network("64:ff9b::/96")
_DOTS = re.compile("[\u3002\uff0e\uff61]")  # what a browser and IDNA take for a full stop
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


def refuse_metadata_address(url: str, field: str = "base_url") -> None:
    """Refuse an address that is written as a metadata service's; names are looked up on connecting.

    Raises:
        RowProblem: it is; the message names the mend.
    """
    try:
        host = urlsplit(url.strip()).hostname or ""
    except ValueError:
        return  # read_url complains of it
    if is_metadata_host(host):
        raise RowProblem(
            f"{field} is link-local or a cloud's metadata service, which is refused: write "
            f"the server's own address, or set {SETTING} if it is meant"
        )


def is_metadata_host(host: str) -> bool:
    """Whether a host, in any spelling that resolvers understand, is one of theirs."""
    plain = _DOTS.sub(".", unicodedata.normalize("NFKC", unquote(host))).strip("[]").rstrip(".").lower()
    if plain in _NAMES:
        return True
    address = _read(plain)
    return address is not None and is_metadata_address(address)


def is_metadata_address(address: IPv4Address | IPv6Address) -> bool:
    """Whether this address may reach such a service; an IPv4 one inside an IPv6 one counts."""
    inner: IPv4Address | IPv6Address | None = None
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64 or (inner is None and int(address) >> 32 == 0):
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    return any(address in network for network in _NETWORKS) or (
        inner is not None and any(inner in network for network in _NETWORKS)
    )


def _read(host: str) -> IPv4Address | IPv6Address | None:
    """An address, also in the forms that C libraries read: 2852039166, 0xa9fea9fe, 0251.0376.43518."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        return None
    *heads, last = numbers
    if any(head > 255 for head in heads) or last >= 256 ** (4 - len(heads)):
        return None
    value = last
    for place, head in enumerate(heads):
        value += head << (24 - 8 * place)
    return IPv4Address(value)


def _number(text: str) -> int:
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") else int(text)
