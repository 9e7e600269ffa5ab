"""The compose files, read as an engine reads them."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
STACK = ROOT / "compose.yaml"
SIDECAR = ROOT / "docs" / "sidecar.compose.yaml"
SIDECAR_VARIABLES = {"POSTGRES_PASSWORD": "one", "BYOK_ENCRYPTION_KEY": "two", "ADMIN_PASSWORD": "three"}


def services(file: Path) -> dict[str, dict[str, Any]]:
    """The services of a file, by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
    return found


def mounts(file: Path, service: str) -> dict[str, str]:
    """What a service has from this repository or a volume: its source by the place where it is seen."""
    entries = [str(one).split(":") for one in services(file)[service].get("volumes", ())]
    return {entry[1]: entry[0] for entry in entries}
