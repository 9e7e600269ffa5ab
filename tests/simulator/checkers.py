"""Other people's policies: they count probes in a row, and move at once."""

import heapq
import random
from dataclasses import dataclass
from itertools import count

from tests.simulator.story import Move, Story
from tests.simulator.worlds import World


@dataclass(frozen=True)
class Counting:
    """Down after `fall` failures in a row, up after `rise` passes; the first in order that is up serves.

    Attributes:
        fall: failures in a row.
        rise: passes in a row.
        interval: seconds between two probes of the one that serves, and of the others.
        fast: the same while a streak speaks against the state (HAProxy's fastinter).
    """

    fall: int
    rise: int
    interval: float = 30.0
    fast: float | None = None

    def run(self, world: World, seconds: float, seed: int) -> Story:
        """One world."""
        rng, ids, story = random.Random(seed), count(), Story()
        places = range(len(world.providers))
        up, streak, active, since = [True for _ in places], [0 for _ in places], 0, 0.0
        queue = [(rng.uniform(0, self.interval), next(ids), index) for index in places]
        heapq.heapify(queue)
        while queue and queue[0][0] < seconds:
            at, _, index = heapq.heappop(queue)
            outcome, took = world.providers[index].probe(at, rng)
            story.probes += 1
            end = at + took
            passed = outcome == "ok"
            streak[index] = 0 if passed == up[index] else streak[index] + 1
            if streak[index] >= (self.fall if up[index] else self.rise):
                up[index], streak[index] = not up[index], 0
            story.account(world, since, max(end, since), active, stranded=not any(up))
            since = max(end, since)
            serving = next((one for one in places if up[one]), active)
            if serving != active:
                story.moves.append(Move(end, active, serving))
                active = serving
            pause = self.fast if self.fast and streak[index] else self.interval
            heapq.heappush(queue, (max(end, at + pause * rng.uniform(0.9, 1.1)), next(ids), index))
        return story
