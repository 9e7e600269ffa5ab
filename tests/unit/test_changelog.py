"""The change log has the form of Keep a Changelog, so that people and programs find what they look for."""

import re
from datetime import date
from itertools import pairwise
from pathlib import Path

from monitor import __version__

KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
HEADING = re.compile(
    r"## \[(?:(?P<next>Unreleased)|(?P<version>\d+\.\d+\.\d+)\] - (?P<day>\d{4}-\d\d-\d\d))\]?"
)

TEXT = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")


def problems(text: str) -> list[str]:
    """What is not as Keep a Changelog has it."""
    lines = text.splitlines()
    found = [] if lines[:1] == ["# Changelog"] else ["the first line is not '# Changelog'"]
    headings = [line for line in lines if line.startswith("## ")]
    matches = [HEADING.fullmatch(line) for line in headings]
    found += [
        f"{line}: no heading of a release" for line, one in zip(headings, matches, strict=True) if not one
    ]
    releases = [one for one in matches if one]
    if not releases or not releases[0]["next"]:
        found.append("Unreleased is not the first")
    dated = [
        (tuple(int(part) for part in one["version"].split(".")), date.fromisoformat(one["day"]))
        for one in releases
        if one["version"]
    ]
    for newer, older in pairwise(dated):
        if newer[0] <= older[0] or newer[1] < older[1]:
            found.append(f"{newer[0]} stands above {older[0]}")
    return found + _sections(lines)


def _sections(lines: list[str]) -> list[str]:
    """Every release has sections of the six kinds, each once and none of them empty."""
    found: list[str] = []
    seen: list[str] = []
    bullets: int | None = None
    for line in [*lines, "## end"]:
        if line.startswith(("## ", "### ")):
            if bullets == 0:
                found.append(f"{seen[-1]}: has no bullet")
            bullets = None
        if line.startswith("## "):
            seen = []
        elif line.startswith("### "):
            kind = line.removeprefix("### ")
            if kind not in KINDS or kind in seen:
                found.append(f"{line}: not one of {', '.join(KINDS)}, or a second one")
            seen.append(kind)
            bullets = 0
        elif line.startswith("- ") and bullets is not None:
            bullets += 1
        elif line.strip() and not line.startswith("  ") and seen:
            found.append(f"{line}: neither a bullet nor the rest of one")
    return found


def test_the_change_log_has_the_form_of_keep_a_changelog() -> None:
    assert problems(TEXT) == []


def test_what_has_another_form_is_found() -> None:
    head = "# Changelog\n\n## [Unreleased]\n\n"
    assert (
        problems(head + "### Added\n\n- One.\n\n## [1.0.0] - 2030-02-03\n\n### Fixed\n\n- Two\n  lines.\n")
        == []
    )
    for wrong in (
        "## [Unreleased]\n",
        "# Changelog\n\n## [1.0.0] - 2030-02-03\n",
        head + "### New\n\n- One.\n",
        head + "### Added\n\n### Fixed\n\n- One.\n",
        head + "### Added\n\n- One.\n\n### Added\n\n- Two.\n",
        head + "### Added\n\nOne.\n",
        head + "## [1.0] - 2030-02-03\n",
        head + "## [1.0.0] - 2030-02-03\n\n## [1.0.1] - 2030-01-02\n",
        head + "## [1.0.1] - 2030-02-03\n\n## [1.0.1] - 2030-02-03\n",
    ):
        assert problems(wrong), wrong


def test_a_version_that_was_published_is_told() -> None:
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", TEXT, re.MULTILINE)
    assert released == [] or released[0] == __version__
