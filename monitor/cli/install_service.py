"""`llm-monitor install-service`: the program as a service of systemd."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.console import show_json
from monitor.cli.options import AsJson
from monitor.cli.refusal import Refused
from monitor.cli.service_files import (
    CONFIGURATION,
    CREDENTIALS,
    DROP_IN,
    STATE,
    UNIT,
    Action,
    Step,
    below,
    changes,
    plan,
)
from monitor.cli.service_place import find_program, refuse_unreadable

BOOTED = Path("/run/systemd/system")
"""Is there while systemd runs the machine (`man sd_booted`)."""

Root = Annotated[
    Path | None,
    typer.Option(
        "--root", metavar="DIR", help="Lay the files below a folder instead, as a package is built."
    ),
]
Program = Annotated[
    Path | None,
    typer.Option(
        "--program",
        metavar="PATH",
        help="With --root: where llm-monitor will lie on the machine that runs it.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
Uninstall = Annotated[
    bool, typer.Option("--uninstall", help="End the service and take it away; settings and data stay.")
]


def install_service(
    root: Root = None,
    program: Program = None,
    dry_run: DryRun = False,
    uninstall: Uninstall = False,
    as_json: AsJson = False,
) -> int:
    """Put a service of systemd in place: its unit, an example configuration and a file for local changes."""
    if program is not None and (root is None or not program.is_absolute()):
        raise Refused(
            "--program wants an absolute path, and --root beside it; without both it is this program"
        )
    _refuse_machine(root, dry_run)
    try:
        if uninstall:
            return _uninstall(root, dry_run, as_json)
        return _install(root, program, dry_run, as_json)
    except OSError as error:
        reason = error.strerror or "an error of the system"
        raise Refused(
            f"{error.filename}: {reason}; free space, mend its owner or mode, or name another --root"
        ) from None


def _install(root: Path | None, program: Path | None, dry_run: bool, as_json: bool) -> int:
    if program is None:
        program = find_program()
        if root is None:
            refuse_unreadable(program)
    steps = plan(root or Path("/"), program)
    if not dry_run:
        for step in steps:
            step.do()
        if root is None:
            _systemctl("daemon-reload")  # each time: an earlier one may have been broken off before it
    if as_json:
        show_json([{"path": str(step.path), "action": str(step.action)} for step in steps])
    else:
        _tell(steps, dry_run)
        if not dry_run and root is None:
            _tell_next(steps, program)
    return 0


def _uninstall(root: Path | None, dry_run: bool, as_json: bool) -> int:
    unit, drop_in = (below(root or Path("/"), place) for place in (UNIT, DROP_IN))
    # The unit is the last: whoever was broken off finds it, and can do all of this again.
    going = [path for path in (unit.with_name(f"{unit.name}.old"), unit) if os.path.lexists(path)]
    if not dry_run:
        if root is None and unit in going:
            _systemctl("disable", "--now", UNIT.name)
        for path in going:
            path.unlink()
        if root is None:
            _systemctl("daemon-reload")
    if as_json:
        show_json([{"path": str(path), "action": "remove"} for path in going])
        return 0
    for path in going:
        print(f"{'would remove' if dry_run else 'removed'} {path}")
    if not going:
        print(f"{unit} is not there: nothing to do")
    print(f"what is yours stays: {drop_in.parent}, {CONFIGURATION.parent} and {STATE}")
    return 0


def _refuse_machine(root: Path | None, dry_run: bool) -> None:
    if root is not None:
        return
    if not BOOTED.is_dir():
        raise Refused(
            "systemd does not run this machine: start `llm-monitor run` by what does, "
            "or lay the files below a folder by --root DIR"
        )
    if os.geteuid() != 0 and not dry_run:
        raise Refused(
            "only root may put a service in place: run it by sudo; --dry-run prints what it would do"
        )


def _tell(steps: Sequence[Step], dry_run: bool) -> None:
    words = {
        Action.WRITE: "would write" if dry_run else "wrote",
        Action.REPLACE: "would replace" if dry_run else "replaced",
        Action.CLOSE: "would close to other accounts" if dry_run else "closed to other accounts",
        Action.KEEP: "keeps, as it is yours," if dry_run else "kept, as it is yours,",
        Action.NOTHING: "is as it should be:",
    }
    for step in steps:
        after = f" (the former one is {step.path.name}.old)" if step.action is Action.REPLACE else ""
        kind = "/" if step.content is None else ""
        print(f"{words[step.action]} {step.path}{kind} (mode {step.mode:04o}){after}")
        if dry_run and step.content is not None and step.action in {Action.WRITE, Action.REPLACE}:
            print(step.diff(), end="")
    if not changes(steps):
        print("nothing to do: the service is in place")


def _tell_next(steps: Sequence[Step], program: Path) -> None:
    if not _knows_accounts_of_services():
        print(
            "warning: this machine does not know services' accounts by name, so that an embedded PostgreSQL "
            "can't be made: apt-get install libnss-systemd, or name a database"
        )
    if not changes(steps):
        return
    if any(step.action is Action.REPLACE for step in steps):
        print(f"take it up by: systemctl try-restart {UNIT.name}")
    print(f"settings: {CONFIGURATION}; secrets: a file each in {CREDENTIALS}")
    print(f"start it, now and with the machine: systemctl enable --now {UNIT.name}")
    print(f"see how it fares: systemctl status {UNIT.name}, or {program} status")


def _knows_accounts_of_services() -> bool:
    """Whether names of accounts that live no longer than a service are found (nss-systemd)."""
    try:
        text = Path("/etc/nsswitch.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(line.startswith("passwd:") and "systemd" in line.split() for line in text.splitlines())


def _systemctl(*command: str) -> None:
    systemctl = shutil.which("systemctl", path="/usr/bin:/bin")
    if systemctl is None:
        raise Refused("there is no systemctl on this machine: install systemd's own package")
    done = subprocess.run(
        [systemctl, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Refused(f"systemctl {' '.join(command)} failed: {done.stderr.strip() or done.stdout.strip()}")
