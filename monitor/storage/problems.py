"""What is wrong with the configuration, each until it is mended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.storage.queries import QUERIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One.

    Attributes:
        subject: the row or setting, as in `ai_server:2`.
        message: what is wrong and how to mend it.
        since: when it was first seen.
    """

    subject: str
    message: str
    since: datetime


async def replace_problems(connection: Any, problems: Mapping[str, str]) -> None:
    """Make these (message by subject) all that there are; one that stays keeps its time."""
    async with connection.transaction():
        await connection.execute(QUERIES["clear_problems"], list(problems))
        if problems:
            await connection.execute(QUERIES["keep_problems"], list(problems), list(problems.values()))


async def list_problems(connection: Any) -> list[Problem]:
    """The oldest first."""
    return [Problem(**row) for row in await connection.fetch(QUERIES["list_problems"])]
