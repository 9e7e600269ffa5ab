"""Names results: unique, and in the order of time."""

import secrets

from monitor.domain.outcome import ResultId


def new_result_id(unix_milliseconds: int) -> ResultId:
    """A UUIDv7 (RFC 9562) as 32 hexadecimal digits."""
    value = (unix_milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return ResultId(f"{value:032x}")
