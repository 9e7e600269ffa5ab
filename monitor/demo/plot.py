"""What the demo does to its primary; everything that follows from it is the daemon's own doing."""

import asyncio
from itertools import cycle

from monitor.demo.facts import Facts
from monitor.demo.server import DemoServer, Fault
from monitor.demo.telling import Telling

FIRST_CALM_SECONDS = 8.0
BROKEN_SECONDS = 15.0
CALM_SECONDS = 40.0
PATIENCE_SECONDS = 120.0


async def play(primary: DemoServer, fallback: DemoServer, facts: Facts, telling: Telling) -> None:
    """Break the primary and mend it, again and again, until cancelled.

    Each step waits for what the database says, never for what ought to have happened by now.
    """
    calm = FIRST_CALM_SECONDS

    def all_well(now: Facts) -> bool:
        eligible = [name for name, belief in now.beliefs.items() if belief.eligible]
        return now.serving == primary.name and {primary.name, fallback.name} <= set(eligible)

    for round_, fault in enumerate(cycle(Fault), start=1):
        while not await facts.until(all_well, PATIENCE_SECONDS):
            telling.say(f"still waiting until {primary.name} serves and both servers are healthy")
        if round_ == 1:
            telling.say(f"{primary.name} serves chat, {fallback.name} stands by; both are probed every 2 s")
        telling.say(f"in {calm:.0f} s {primary.name} will break")
        await asyncio.sleep(calm)
        calm = CALM_SECONDS

        primary.fault = fault
        telling.say(f"{primary.name} stops answering now: it {fault}", "bad")
        if await facts.until(lambda now: now.serving != primary.name, PATIENCE_SECONDS):
            telling.say(
                f"    active_providers says {facts.serving} now; an application that reads it has followed"
            )
            telling.say(f"    in {BROKEN_SECONDS:.0f} s {primary.name} will be mended")
            await asyncio.sleep(BROKEN_SECONDS)
        else:
            telling.say(f"{primary.name} still serves: the daemon saw no reason to move")

        primary.fault = None
        telling.say(
            f"{primary.name} is mended; it has to pass two probes, then stay healthy for 10 s", "good"
        )
        if not await facts.until(lambda now: now.serving == primary.name, PATIENCE_SECONDS):
            telling.say(f"{facts.serving} still serves; `explain` it with the rows of monitor.transitions")
            continue
        telling.say(f"    active_providers says {primary.name} again. That was the story; it begins anew.")
