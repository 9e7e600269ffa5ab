"""The service as a real systemd runs it."""

from pathlib import Path

from monitor import __version__
from tests.system import debian


def test_the_tree_has_the_program(installed_tree: Path) -> None:
    assert (
        debian.in_tree(installed_tree, f"{debian.PROGRAM}/bin/llm-monitor", "--version").split()[1]
        == __version__
    )
