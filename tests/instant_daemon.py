"""The daemon, whose probes read a file instead of asking a provider: for faults of everything else.

It is the program itself but for its prober, so it starts without litellm and probes as often as it likes.
`WEATHER` names a folder: `weather.json` in it says what each server shows, `probed` gets a line a result.
"""

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import monitor.work
from monitor.cli import main
from monitor.domain.outcome import Outcome, ProbeResult
from monitor.domain.policy import Policy
from monitor.domain.target import ProbeKind, Target
from monitor.probing.result_id import new_result_id

WEATHER, PROBED = "weather.json", "probed"


class InstantProber:
    """Answers at once with what the file says; `ok` for a server that it does not name."""

    def __init__(self, *, now: Callable[[], datetime], **_: object) -> None:
        self._now = now
        self._folder = Path(os.environ["WEATHER"])

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def probe(self, target: Target, kind: ProbeKind, _policy: Policy) -> ProbeResult:
        """One result, noted in the folder before anybody knows it."""
        started = self._now()
        weather = json.loads((self._folder / WEATHER).read_text())
        outcome = (
            Outcome.OK if kind is ProbeKind.LIGHT else Outcome(weather.get(str(target.id.provider), "ok"))
        )
        result = ProbeResult(
            id=new_result_id(int(started.timestamp() * 1000)),
            target=target.id,
            fingerprint=target.fingerprint,
            kind=kind,
            outcome=outcome,
            started_at=started,
            ended_at=self._now(),
        )
        with (self._folder / PROBED).open("a") as file:
            file.write(f"{result.id} {result.ended_at.timestamp()}\n")
        return result


if __name__ == "__main__":
    vars(monitor.work)["Prober"] = InstantProber
    main()
