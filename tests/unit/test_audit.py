"""What an audit of the dependencies comes to."""

from typing import Any

import pytest

from tests.audit import judge

SOUND: dict[str, Any] = {"name": "one", "version": "1.0", "vulns": []}
FLAWED: dict[str, Any] = {
    "name": "two",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1", "3.0"]}, {"id": "PYSEC-2", "fix_versions": []}],
}
UNKNOWN: dict[str, Any] = {"name": "three", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "told"),
    [
        ([SOUND], 0, "nothing is known against the 1 packages"),
        ([SOUND, FLAWED], 1, "two 2.0: PYSEC-1, mended in 2.1, 3.0"),
        ([FLAWED], 1, "two 2.0: PYSEC-2, not mended yet"),
        ([FLAWED, UNKNOWN], 1, "three: not found"),
        ([SOUND, UNKNOWN], 2, "1 of 2 packages could not be looked up: that is no all-clear"),
        ([], 2, "the report is empty"),
    ],
)
def test_an_audit_is_only_clear_when_every_package_was_looked_up(
    packages: list[dict[str, Any]], code: int, told: str
) -> None:
    verdict = judge({"dependencies": packages})
    assert verdict.code == code
    assert told in "\n".join(verdict.lines)
