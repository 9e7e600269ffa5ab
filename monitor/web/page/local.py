"""Where a page leads to when it was told where: to this server's own pages, and nowhere else."""

import re
from urllib.parse import quote

FRONT = "/"
LONGEST = 500
# No second slash and no backslash at the beginning: a browser would take what follows for another host.
_LOCAL = re.compile(r"/(?![/\\])[A-Za-z0-9_.~!$'()*+,;:@%/?=&-]*")


def local_path(text: str) -> str:
    """A path on this server, with its query; the front page when it is anything else."""
    return text if len(text) <= LONGEST and _LOCAL.fullmatch(text) else FRONT


def asked_path(path: str, query: bytes) -> str:
    """The path that a request asks for, with its query, as `local_path` takes it."""
    asked = quote(path, safe="/:@!$'()*+,;=~-._")
    return local_path(f"{asked}?{query.decode('latin-1')}" if query else asked)


def login_for(path: str) -> str:
    """The login page that leads on to a path."""
    return "/login" if path == FRONT else f"/login?next={quote(path, safe='')}"
