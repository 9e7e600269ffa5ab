"""The page's own files, each under an address that changes with its content: it may be kept for good."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file.

    Attributes:
        content: its bytes.
        type: its media type.
        tag: of its content.
    """

    content: bytes
    type: str
    tag: str


def load_assets() -> Mapping[str, Asset]:
    """Every file in `static` by its name."""
    found: dict[str, Asset] = {}
    for file in resources.files("monitor.web.page").joinpath("static").iterdir():
        suffix = file.name[file.name.rfind(".") :]
        if suffix in TYPES:
            content = file.read_bytes()
            tag = hashlib.sha256(content).hexdigest()[:16]
            found[file.name] = Asset(content=content, type=TYPES[suffix], tag=tag)
    return MappingProxyType(found)


ASSETS = load_assets()


def asset_url(name: str) -> str:
    """Where a file is served, for good."""
    return f"/static/{name}?v={ASSETS[name].tag}"
