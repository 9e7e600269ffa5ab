"""What the documents tell a reader to type exists, and something proves that it works."""

import re
import shlex
from typing import Any

import pytest
import typer
import typer.core
import typer.exceptions

from monitor.cli import app
from monitor.settings.names import VARIABLES
from tests.daemon import ROOT
from tests.documented import ELSEWHERE, PROGRAM, Documented, commands, fences, mentions

RUN = {PROGRAM, f".venv/bin/{PROGRAM}", "curl", "cat"}
"""Programs whose commands tests/system/test_documented_commands.py runs."""
LANGUAGES = {"sh", "console", "ini", "toml", "sql", "python", "json", "yaml", "promql", "http", "text"}
GROUP = typer.main.get_command(app)


def find(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words name, and the words after it.

    Raises:
        AssertionError: there is none.
    """
    command: Any = GROUP
    while isinstance(command, typer.core.TyperGroup) and words and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        assert found is not None, f"no command {words[0]}"
        command, words = found, words[1:]
    return command, words


def options(command: Any) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}


def refuses(command: Any, words: list[str]) -> str | None:
    """What the command line's parser says against them; None when it takes them."""
    try:
        command.make_context(PROGRAM, list(words))
    except typer.Exit:
        return None
    except typer.exceptions.TyperException as error:
        return str(error)
    return None


def test_every_block_names_its_language() -> None:
    found = list(fences())
    assert len(found) > 40
    assert [f"{place} {fence.info!r}" for place, fence in found if fence.info not in LANGUAGES] == []


def test_every_command_of_the_documents_is_run_or_says_why_not() -> None:
    found = list(commands())
    assert len(found) > 50
    unproved = [
        f"{one.place}: {one.text}"
        for one in found
        if not one.is_elsewhere() and one.words()[0] not in RUN and not one.text.startswith("export ")
    ]
    assert unproved == []


def test_every_reason_is_needed_and_names_tests_that_exist() -> None:
    found = list(commands())
    for start, reason in ELSEWHERE.items():
        assert any(one.text.startswith(start) for one in found), start
        for path in re.findall(r"tests/\S+\.py", reason):
            assert (ROOT / path).is_file(), path


def test_every_exported_variable_is_a_setting() -> None:
    lines = [one.words()[1:] for one in commands() if one.text.startswith("export ")]
    exported = {word.partition("=")[0] for words in lines for word in words}
    assert exported
    assert exported <= {*VARIABLES.values(), "MONITOR_CONFIG", "CREDENTIALS_DIRECTORY"}


def test_every_command_line_is_one_that_the_program_takes() -> None:
    checked = 0
    for one in commands():
        program, *words = one.words()
        if program.rpartition("/")[2] == PROGRAM:
            command, rest = find(words)
            said = refuses(command, rest)
            assert said is None, f"{one.place}: {one.text}: {said}"
            checked += 1
    assert checked > 40


@pytest.mark.parametrize("one", list(mentions()), ids=lambda one: f"{one.place} {one.text}")
def test_whatever_a_sentence_names_exists(one: Documented) -> None:
    program, *words = shlex.split(one.text)
    if program == "make":
        targets = [word for word in words if "=" not in word]
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE) for target in targets)
        return
    names = words[0].split("|") if words else []
    for name in names:
        command, rest = find([name, *words[1:]])
        known = options(command)
        assert {word.strip("[]") for word in rest if word.startswith(("--", "[--"))} <= known
