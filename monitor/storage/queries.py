"""Named queries: all SQL lives in files, and each query is asked for by its name."""

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from types import MappingProxyType

_NAME = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)


def read_queries(text: str) -> Iterator[tuple[str, str]]:
    """Cut a file into (name, SQL); each query begins with a line `-- name: xyz`."""
    pieces = _NAME.split(text)
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        yield name, body.strip().rstrip(";")


def load_queries() -> Mapping[str, str]:
    """Every query of `sql/*.sql` by name.

    Raises:
        ValueError: two have the same name.
    """
    found: dict[str, str] = {}
    for file in sorted(
        resources.files("monitor.storage").joinpath("sql").iterdir(), key=lambda one: one.name
    ):
        if file.name.endswith(".sql"):
            for name, query in read_queries(file.read_text(encoding="utf-8")):
                if name in found:
                    raise ValueError(f"two queries are named {name}; the second stands in {file.name}")
                found[name] = query
    return MappingProxyType(found)


QUERIES = load_queries()
