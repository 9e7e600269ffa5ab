"""`make docs`: write the list of rules in docs/failover.md from the code."""

import re
from pathlib import Path

from monitor.domain.policy import Policy
from monitor.domain.rules import rule_list

PAGE = Path(__file__).parent.parent / "docs" / "failover.md"
PLACE = re.compile(r"(?<=\n\n)1\. `paused`.*?(?=\n\n)", re.DOTALL)


def with_rules(page: str) -> str:
    """The page with the list as the code has it."""
    return PLACE.sub(lambda _: rule_list(Policy()), page)


if __name__ == "__main__":
    PAGE.write_text(with_rules(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
