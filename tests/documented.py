"""The commands that README and docs tell a reader to type, and where each is proved to work."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.daemon import ROOT

PROGRAM = "llm-monitor"

ELSEWHERE = {
    "make run": "tests/acceptance/test_demo.py starts what it starts",
    "make test": "it runs these tests",
    "pip install ./llm_provider_monitor": "tests/system/test_release.py installs the wheel",
    "pipx install": "tests/system/test_release.py installs the wheel into an environment of its own",
    "python3 -m venv /opt/llm-monitor": "tests/system/debian.py installs the program there",
    "/opt/llm-monitor/bin/": "tests/system/test_systemd.py calls the program there",
    "docker": "wants a Docker engine: tests/system/test_container.py builds and runs the image without one",
    "systemctl": "wants a systemd of its own: tests/system/test_systemd.py boots one",
    "mv /var/lib/llm-monitor/pg": "tests/integration/test_backup.py moves the folder away, and restores",
    "llm-monitor restore /var/backups": "wants the daemon stopped: tests/integration/test_backup.py restores",
    "openssl s_client -connect gpu-1.example:443": "the reader's own server, by another program",
}
"""Commands that the test of documented commands does not run, by how they begin, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """One command, or one piece of a sentence that names one.

    Attributes:
        place: file and line.
        text: the command on one line, without its comment.
    """

    place: str
    text: str

    def words(self) -> list[str]:
        """As a shell would take it apart."""
        return shlex.split(self.text)

    def is_elsewhere(self) -> bool:
        """Whether `ELSEWHERE` says who proves it."""
        return any(self.text.startswith(start) for start in ELSEWHERE)


def pages() -> list[Path]:
    """README and every page of docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def fences() -> Iterator[tuple[str, Token]]:
    """Every fenced block with its place."""
    for page in pages():
        for token in _parse(page):
            if token.type == "fence":
                assert token.map is not None
                yield f"{page.relative_to(ROOT)}:{token.map[0] + 1}", token


def commands() -> Iterator[Documented]:
    """What stands in blocks of the language `sh`, one command a line; a backslash joins the next one.

    In blocks of the language `console`, which show answers too, what stands behind a prompt.
    """
    for place, fence in fences():
        lines = fence.content.replace("\\\n", " ").splitlines()
        if fence.info == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        elif fence.info != "sh":
            continue
        for line in lines:
            words = shlex.split(line, comments=True)
            if words:
                # Quotes and substitutions stay as they are: only the comment goes.
                text = line.partition(" #")[0] if " #" in line else line
                yield Documented(place=place, text=" ".join(text.split()))


def mentions() -> Iterator[Documented]:
    """Code in the middle of sentences that begins with the program's name or make's."""
    for page in pages():
        for token in _parse(page):
            for child in token.children or ():
                if child.type == "code_inline" and child.content.startswith((f"{PROGRAM} ", "make ")):
                    line = token.map[0] + 1 if token.map else 0
                    yield Documented(place=f"{page.relative_to(ROOT)}:{line}", text=child.content)


def _parse(page: Path) -> list[Token]:
    return MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8"))
