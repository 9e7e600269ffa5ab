"""`llm-monitor assets`: what comes with the program for others to read, from dashboards to alert rules."""

from pathlib import Path
from typing import Annotated

import typer

import monitor
from monitor.cli.console import show_json
from monitor.cli.laying import lay_file
from monitor.cli.options import AsJson
from monitor.cli.refusal import Refused

_PACKAGE = Path(monitor.__file__).parent
_IN_A_WHEEL = "assets"
_IN_A_CHECKOUT = ("grafana/dashboards/json", "grafana/provisioning", "grafana/prometheus", "systemd")
"""The same as pyproject.toml puts into a wheel; a test holds the two together."""

Target = Annotated[
    Path | None, typer.Argument(metavar="[DIR]", help="Where to lay them; without it they are only named.")
]


def list_assets() -> dict[str, Path]:
    """Every file by its name, as in `grafana/prometheus/alerts.yaml`, and where it lies.

    In a checkout it lies where it is written, in an installation inside of the package.
    """
    packed = _PACKAGE / _IN_A_WHEEL
    root = packed if packed.is_dir() else _PACKAGE.parent
    folders = [packed] if packed.is_dir() else [root / name for name in _IN_A_CHECKOUT]
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path for path in sorted(files)}


def assets(target: Target = None, as_json: AsJson = False) -> int:
    """Lay dashboards, alert rules and the like into a folder, or name them."""
    found = list_assets()
    if target is None:
        lines = list(found)
    else:
        _lay(found, target)
        lines = [str(target / name) for name in found]
    if as_json:
        show_json(lines)
    else:
        print("\n".join(lines))
    return 0


def _lay(found: dict[str, Path], target: Path) -> None:
    """Copy files; whatever an operator has changed there stays.

    Raises:
        Refused: a file is there that differs, and nothing was laid; or the folder takes no more, and another
            try goes on from there.
    """
    try:
        missing = {}
        for name, path in found.items():
            place, content = target / name, path.read_bytes()
            if not place.exists():
                missing[place] = content
            elif place.read_bytes() != content:
                raise Refused(f"{place} is there and differs: name another folder, or move it away")
        for place, content in missing.items():
            lay_file(place, content)
    except OSError as error:
        reason = error.strerror or "an error of the system"
        raise Refused(
            f"{error.filename}: {reason}; name a folder that can be written, or free space"
        ) from None
