"""Migrations only add, so that a daemon of the version before goes on; docs/upgrade.md says how."""

import re
from collections.abc import Iterator

import pytest

from monitor.storage.migrations import Migration, load_migrations, read_migration

FIRST_OF_ALL = 3
"""The migrations that the first program came with: nobody ran before them."""

TAKES_AWAY = {
    "drops something": r"\bDROP (?!TRIGGER)\w+|\bTRUNCATE\b",
    "takes a trigger from older programs": r"\bDROP TRIGGER\b",
    "renames something": r"\bRENAME\b",
    "changes a column's type": r"\bALTER (COLUMN )?\w+ (SET DATA )?TYPE\b",
    "forbids NULL where it was allowed": r"\bSET NOT NULL\b",
    "wants a value that nobody gives": r"\bADD COLUMN (?![^,;]*\bDEFAULT\b)[^,;]*\bNOT NULL\b",
    "adds a constraint to older rows": r"\bADD (CONSTRAINT|CHECK|UNIQUE|FOREIGN|PRIMARY)\b",
}
HOLDS_UP = {
    "locks a table for long": r"\bLOCK TABLE\b|\bVACUUM\b|\bCLUSTER\b|\bREINDEX\b",
    "sets a limit of its own": r"\bSET (LOCAL |SESSION )?(lock_timeout|statement_timeout)\b",
    "leaves its transaction": r"\b(COMMIT|ROLLBACK|CONCURRENTLY)\b",
    "touches a table of the application": r"\b(ALTER TABLE|UPDATE|DELETE FROM|ON) (ONLY )?(public\.)?"
    r"(ai_servers|llm_api_keys|active_providers|llm_config_audit)\b",
}
KNOWN = {"0009_rollups": {"takes a trigger from older programs"}}
"""0009 stops the counting of monitor.result_hours, which older programs read and never write."""


def faults(script: str) -> set[str]:
    """What an older program may not outlive, and what holds others up."""
    text = _statements(script)
    rules = HOLDS_UP | ({} if read_migration("9999_some", script).oldest else TAKES_AWAY)
    found = {fault for fault, pattern in rules.items() if re.search(pattern, text, re.IGNORECASE)}
    return found | set(_indexes(text))


def _statements(script: str) -> str:
    """One line, without comments and the bodies of functions."""
    bare = re.sub(r"--[^\n]*", "", script)
    return " ".join(re.sub(r"\$(\w*)\$.*?\$\1\$", "", bare, flags=re.DOTALL).split())


def _indexes(text: str) -> Iterator[str]:
    made = set(re.findall(r"\bCREATE TABLE ([\w.]+)", text, re.IGNORECASE))
    for table in re.findall(r"\bCREATE (?:UNIQUE )?INDEX \w+ ON (?:ONLY )?([\w.]+)", text, re.IGNORECASE):
        if table not in made:
            yield "builds an index that writers wait for"


@pytest.mark.parametrize("migration", load_migrations()[FIRST_OF_ALL:], ids=lambda one: one.name)
def test_a_migration_only_adds_and_holds_nobody_up(migration: Migration) -> None:
    assert faults(migration.script) == KNOWN.get(migration.name, set())


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("DROP TABLE monitor.result_hours;", "drops something"),
        ("ALTER TABLE monitor.acts DROP COLUMN via;", "drops something"),
        ("ALTER TABLE monitor.acts ALTER COLUMN via DROP DEFAULT;", "drops something"),
        ("TRUNCATE monitor.acts;", "drops something"),
        ("DROP TRIGGER results_noted ON monitor.results;", "takes a trigger from older programs"),
        ("ALTER TABLE monitor.acts RENAME COLUMN via TO way;", "renames something"),
        ("ALTER TABLE monitor.acts ALTER COLUMN via TYPE INTEGER;", "changes a column's type"),
        ("ALTER TABLE monitor.acts ALTER via SET DATA TYPE INTEGER;", "changes a column's type"),
        ("ALTER TABLE monitor.acts ALTER reason SET NOT NULL;", "forbids NULL where it was allowed"),
        ("ALTER TABLE monitor.acts ADD COLUMN a TEXT NOT NULL;", "wants a value that nobody gives"),
        ("ALTER TABLE monitor.acts ADD CONSTRAINT a CHECK (id > 0);", "adds a constraint to older rows"),
        ("CREATE INDEX slow ON monitor.results (model);", "builds an index that writers wait for"),
        ("LOCK TABLE monitor.results;", "locks a table for long"),
        ("SET LOCAL lock_timeout = 0;", "sets a limit of its own"),
        ("CREATE INDEX CONCURRENTLY a ON monitor.acts (at);", "leaves its transaction"),
        ("alter table ai_servers add column ours text;", "touches a table of the application"),
        ("CREATE TRIGGER a AFTER INSERT ON public.ai_servers EXECUTE FUNCTION b();",
         "touches a table of the application"),
    ],
)  # fmt: skip
def test_what_an_older_program_would_not_outlive_is_found(script: str, fault: str) -> None:
    assert fault in faults(script)


@pytest.mark.parametrize(
    "script",
    [
        "ALTER TABLE monitor.acts ADD COLUMN a TEXT, ADD COLUMN b TEXT NOT NULL DEFAULT '';",
        "CREATE TABLE monitor.a (b INTEGER NOT NULL); CREATE INDEX a_by_b ON monitor.a (b);",
        "-- DROP TABLE monitor.acts;\nCREATE FUNCTION a() RETURNS void AS $$ DROP TABLE a $$;",
    ],
)
def test_what_only_adds_is_let_through(script: str) -> None:
    assert faults(script) == set()


def test_a_migration_that_says_whom_it_leaves_behind_may_take_away() -> None:
    said = "-- oldest program: 9\nDROP TABLE monitor.result_hours;"
    assert faults(said) == set()
    assert read_migration("0011_contract", said).oldest == 9
    assert faults(said + "LOCK TABLE monitor.results;") == {"locks a table for long"}
