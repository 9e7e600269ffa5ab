"""The command line as an operator types it: a process, its exit code and what it wrote."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitor.storage.address import Address
from tests.daemon import ROOT
from tests.targets import PLANTED_KEY


@dataclass(frozen=True, slots=True)
class Answer:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def refused(self) -> str:
        """The one line of a refusal."""
        assert self.code == 2, self
        lines = [line for line in self.err.splitlines() if not line.startswith("llm-monitor: warning:")]
        assert len(lines) == 1, self
        assert not self.out, self
        return lines[0]


def environment(database: Address | None = None, **variables: str) -> dict[str, str]:
    """The variables of a command: nothing of ours leaks into it."""
    named = {} if database is None else {"DATABASE_URL": database.describe()}
    home = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "PYTHONPATH": str(ROOT)}
    return {**home, **named, **variables}


async def llm_monitor(*arguments: str, env: Mapping[str, str] | None = None) -> Answer:
    """Run one command to its end; whatever it does, it shows no planted key."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "monitor",
        *arguments,
        cwd="/",
        env=dict(env if env is not None else environment()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    answer = Answer(process.returncode or 0, out.decode(), err.decode())
    for text in (answer.out, answer.err):
        assert PLANTED_KEY not in text
        assert PLANTED_KEY[:12] not in text
    return answer
