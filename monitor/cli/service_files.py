"""What a service of systemd consists of: each file, where it belongs, and what is there instead."""

import difflib
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from monitor.cli.assets import list_assets
from monitor.cli.laying import lay_file, lay_folder
from monitor.cli.refusal import Refused

UNIT = Path("/etc/systemd/system/llm-monitor.service")
DROP_IN = Path("/etc/systemd/system/llm-monitor.service.d/local.conf")
CONFIGURATION = Path("/etc/llm-monitor/llm-monitor.toml")
CREDENTIALS = Path("/etc/llm-monitor/credentials")
STATE = Path("/var/lib/llm-monitor")

_PROGRAM_AS_SHIPPED = "/opt/llm-monitor/bin/llm-monitor"
_EXEC = re.compile(r"^#?Exec\w+=.*$", re.MULTILINE)
_PLAIN = re.compile(r"[\w./+@:,=~-]+")


class Action(StrEnum):
    """What becomes of one place."""

    WRITE = "write"
    REPLACE = "replace"
    CLOSE = "close"
    KEEP = "keep"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One place.

    Attributes:
        place: where the service looks for it.
        path: the same below the folder that is treated as the machine's root.
        action: what is to be done.
        mode: that the file or the folder has in the end.
        content: of a file; None for a folder.
        present: what a file there holds now; None without one.
    """

    place: Path
    path: Path
    action: Action
    mode: int
    content: str | None
    present: str | None = None

    def diff(self) -> str:
        """The change in the form that `patch` reads."""
        there = self.present
        before = [] if there is None else there.splitlines(keepends=True)
        lines = difflib.unified_diff(
            before,
            (self.content or "").splitlines(keepends=True),
            "/dev/null" if there is None else str(self.path),
            str(self.path),
        )
        return "".join(lines)

    def do(self) -> None:
        """Do it; a file is there as a whole or not at all, and what is replaced stays beside it as `.old`."""
        if self.action in {Action.KEEP, Action.NOTHING}:
            return
        if self.action is Action.CLOSE:
            self.path.chmod(self.mode)
        elif self.content is None:
            lay_folder(self.path, self.mode)
        else:
            if self.present is not None:
                lay_file(self.path.with_name(f"{self.path.name}.old"), self.path.read_bytes(), self.mode)
            lay_file(self.path, self.content.encode(), self.mode)


def plan(root: Path, program: Path) -> list[Step]:
    """Every step towards a service that runs this program; those with nothing to do, too.

    Args:
        root: the folder that stands for `/`.
        program: where the program lies on the machine that will run it.
    """
    return [
        _file(root, UNIT, unit_for(program), ours=True),
        _file(root, DROP_IN, unit_for(program, "systemd/llm-monitor.service.d/local.conf"), ours=False),
        _file(root, CONFIGURATION, _shipped("systemd/llm-monitor.toml"), ours=False),
        _folder(root, CREDENTIALS, 0o700),
    ]


def unit_for(program: Path, name: str = "systemd/llm-monitor.service") -> str:
    """A unit file as it is shipped, for a program that lies elsewhere."""
    word = quoted(program)
    return _EXEC.sub(lambda line: line[0].replace(_PROGRAM_AS_SHIPPED, word), _shipped(name))


def quoted(program: Path) -> str:
    """A path as one word of a unit's command.

    Raises:
        Refused: systemd can't run a program of such a path.
    """
    path = str(program)
    if "$" in path or any(not character.isprintable() for character in path):
        raise Refused(f"{path!r}: a unit can't name it; install the program at a plainer path, as in /opt")
    path = path.replace("%", "%%")
    if _PLAIN.fullmatch(path):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def below(root: Path, place: Path) -> Path:
    """A place of the machine whose root is this folder."""
    return root / place.relative_to("/")


def changes(steps: Sequence[Step]) -> bool:
    """Whether anything is to be done."""
    return any(step.action not in {Action.KEEP, Action.NOTHING} for step in steps)


def _file(root: Path, place: Path, content: str, *, ours: bool) -> Step:
    path = below(root, place)
    if path.is_symlink() and path.resolve() == Path(os.devnull):
        raise Refused(f"{path} is masked, so that nobody starts it: systemctl unmask {path.name} first")
    present = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
    mode = 0o644
    if present is None:
        action = Action.WRITE
    elif present == content:
        action = Action.NOTHING
    else:
        action = Action.REPLACE if ours else Action.KEEP
    if action in {Action.KEEP, Action.NOTHING}:
        mode = stat.S_IMODE(path.stat().st_mode)
    return Step(place=place, path=path, action=action, mode=mode, content=content, present=present)


def _folder(root: Path, place: Path, mode: int) -> Step:
    path = below(root, place)
    action = Action.WRITE
    if path.is_dir():
        there = stat.S_IMODE(path.stat().st_mode)
        action, mode = (Action.CLOSE, mode) if there & stat.S_IRWXO else (Action.NOTHING, there)
    return Step(place=place, path=path, action=action, mode=mode, content=None)


def _shipped(name: str) -> str:
    return list_assets()[name].read_text(encoding="utf-8")
