"""Who may ask the daemon what: roles, callers, and the form of a token."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "llmm"
LONGEST_NAME = 100

_FORM = re.compile(rf"{PREFIX}_(?P<id>[1-9]\d{{0,9}})_(?P<secret>[A-Za-z0-9_-]{{20,200}})")
_LARGEST_ID = 2**31 - 1


class TokenRole(StrEnum):
    """What a token is good for; each role may do all that the ones before it may.

    A report moves nothing by itself, but it makes a fall quicker: an application needs that, a dashboard does
    not.
    """

    VIEWER = "viewer"
    REPORTER = "reporter"
    ADMIN = "admin"

    def includes(self, other: "TokenRole") -> bool:
        """Whether whoever has this role may do what wants the other."""
        order = list(TokenRole)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes a request.

    Attributes:
        name: the token's, which the audit trail shows.
        role: the token's.
        token_id: its row.
    """

    name: str
    role: TokenRole
    token_id: int


def write_token(id_: int, secret: str) -> str:
    """A token as its owner keeps it."""
    return f"{PREFIX}_{id_}_{secret}"


def read_token(text: str) -> tuple[int, str] | None:
    """The id and the secret of a token; None when it has not that form."""
    found = _FORM.fullmatch(text)
    if found is None or int(found["id"]) > _LARGEST_ID:
        return None
    return int(found["id"]), found["secret"]


def digest(secret: str) -> bytes:
    """What is stored of a secret.

    A fast hash is right here: the secret is 256 random bits, which nobody finds by trying, however quick each
    try.
    """
    return hashlib.sha256(secret.encode()).digest()


def check_name(name: str) -> str:
    """A token's name, trimmed.

    Raises:
        ValueError: it can't be one.
    """
    bare = name.strip()
    if not bare or len(bare) > LONGEST_NAME or not bare.isprintable():
        raise ValueError(f"a name has 1 to {LONGEST_NAME} printable characters")
    return bare
