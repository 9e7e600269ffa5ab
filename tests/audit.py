"""`make audit`: what is publicly known against the packages of the lock file.

Exit codes: 0 nothing is known, 1 something is, 2 nobody could say. Apart from the tests, because it asks a
service whose answer changes from day to day. pip-audit alone ends with 0 also where an index has no word on
any package.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"


class Verdict(NamedTuple):
    """An exit code and the lines that explain it."""

    code: int
    lines: tuple[str, ...]


def judge(report: dict[str, Any]) -> Verdict:
    """What a report of pip-audit's (`--format json`) comes to."""
    packages = report["dependencies"]
    found = [
        f"{one['name']} {one['version']}: {flaw['id']}, {_mend(flaw['fix_versions'])}"
        for one in packages
        for flaw in one.get("vulns", ())
    ]
    skipped = [f"{one['name']}: {one['skip_reason']}" for one in packages if "skip_reason" in one]
    if found:
        return Verdict(1, (*found, *skipped))
    if skipped or not packages:
        told = f"{len(skipped)} of {len(packages)} packages could not be looked up: that is no all-clear"
        mend = "the package index has to tell of known flaws: run this where the public one can be reached"
        return Verdict(2, (told, f"first of them: {skipped[0]}" if skipped else "the report is empty", mend))
    return Verdict(0, (f"nothing is known against the {len(packages)} packages of {LOCK.name}",))


def _mend(versions: list[str]) -> str:
    return f"mended in {', '.join(versions)}" if versions else "not mended yet"


def audit(program: str) -> Verdict:
    """Ask the service about every package of the lock file."""
    asked = subprocess.run(
        [program, "--progress-spinner=off", "--format=json", "--disable-pip", "--require-hashes", "-r", LOCK],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        report = json.loads(asked.stdout)
    except ValueError:
        last = asked.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return Verdict(2, (f"pip-audit ended with {asked.returncode} and no report: {last[0]}",))
    return judge(report)


if __name__ == "__main__":
    verdict = audit(sys.argv[1])
    print("\n".join(verdict.lines), file=sys.stderr if verdict.code else sys.stdout)
    sys.exit(verdict.code)
