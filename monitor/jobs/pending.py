"""What is not stored yet, in memory: under a second's results, unless the disk does not take them either."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from heapq import merge

from monitor.domain.outcome import ProbeResult, ResultId
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.store_watch import StoreWatch
from monitor.metrics import Metrics
from monitor.storage.healths import StoredHealth
from monitor.storage.spool import Spool

BATCH = 2_000
MOST_PENDING = 100_000


class Place(Enum):
    """Where a result lies besides memory."""

    NOWHERE = auto()
    UNDER_WAY = auto()
    ON_DISK = auto()


@dataclass(slots=True, eq=False)
class Waiting:
    """One result that is not stored.

    Attributes:
        result: itself.
        since: when it came, on the monotonic clock.
        place: where else it is.
    """

    result: ProbeResult
    since: float
    place: Place = Place.NOWHERE


@dataclass(frozen=True, slots=True)
class Batch:
    """What is stored together."""

    waiting: list[Waiting]
    healths: list[StoredHealth]
    vectors: dict[tuple[ProviderRef, str], tuple[float, ...]]

    @property
    def results(self) -> list[ProbeResult]:
        """Those of the batch, the oldest first."""
        return [one.result for one in self.waiting]

    def __bool__(self) -> bool:
        return bool(self.waiting or self.healths or self.vectors)


class Pending:
    """Results and beliefs that are not stored yet; results are bounded, the oldest go first.

    A result is in memory until it lies on disk, and then there alone, until the database has it. One that is
    under way to the database is still ours, and is copied to the disk like any other when that takes long.
    """

    def __init__(
        self,
        beliefs: Beliefs,
        metrics: Metrics,
        now: Callable[[], datetime],
        *,
        spool: Spool,
        watch: StoreWatch,
        most: int = MOST_PENDING,
    ) -> None:
        self._beliefs = beliefs
        self._metrics = metrics
        self._now = now
        self._spool = spool
        self._most = most
        self._queue: deque[Waiting] = deque()
        self._in_flight: list[Waiting] = []
        self._copies: set[ResultId] = set()
        self._dirty: set[TargetId] = set()
        self._vectors: dict[tuple[ProviderRef, str], tuple[float, ...]] = {}
        self._unstored_since: float | None = None
        self.watch = watch
        self.arrived = asyncio.Event()

    def __len__(self) -> int:
        """Results that are not stored, in memory and on disk."""
        in_memory = sum(one.place is not Place.ON_DISK for one in self._in_flight) + len(self._queue)
        return in_memory + self.on_disk

    @property
    def on_disk(self) -> int:
        """Results that wait on disk, without the copies of what has been stored."""
        return max(self._spool.waiting - len(self._copies), 0)

    @property
    def behind(self) -> bool:
        """Whether a record would lack what it rests on: the past has to be stored before a move.

        A disk that fails holds up no move: what it keeps from us may be lost for good.
        """
        return self.watch.failing or len(self._queue) > BATCH or (self._spool.works and self.on_disk > 0)

    @property
    def idle(self) -> bool:
        """Whether nothing in memory wants to be stored."""
        return not (self._queue or self._in_flight or self._dirty or self._vectors)

    def add(self, result: ProbeResult) -> None:
        """Keep one more result."""
        now = time.monotonic()
        self._queue.append(Waiting(result, now))
        if self._unstored_since is None:
            self._unstored_since = now
        self._bound()
        self.arrived.set()

    def mark(self, target: TargetId) -> None:
        """A belief has changed."""
        self._dirty.add(target)
        self.arrived.set()

    def add_vector(self, ref: ProviderRef, fingerprint: str, vector: tuple[float, ...]) -> None:
        """Keep an embedder's vector."""
        self._vectors[ref, fingerprint] = vector
        self.arrived.set()

    def take(self, most: int = BATCH) -> Batch:
        """Everything that waits in memory, up to a batch of results.

        Whoever takes it holds the session, and says `stored` or `give_back`.
        """
        self.arrived.clear()
        waiting = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        self._in_flight = waiting
        if self._queue:
            self.arrived.set()
        targets, self._dirty = self._dirty, set()
        vectors, self._vectors = self._vectors, {}
        return Batch(waiting, self._stored_healths(targets), vectors)

    def take_of(self, purpose: Purpose) -> Batch:
        """All that waits in memory of one purpose: its results and its beliefs, which a decision rests on.

        To be held and given back like any batch. What is pending of others is no part of the record.
        """
        waiting = [one for one in self._queue if one.result.target.purpose is purpose]
        self._in_flight = waiting
        self._queue = deque(one for one in self._queue if one.result.target.purpose is not purpose)
        targets = {id_ for id_ in self._dirty if id_.purpose is purpose}
        self._dirty -= targets
        return Batch(waiting, self._stored_healths(targets), {})

    def stored(self, batch: Batch) -> None:
        """A batch has been committed; what was copied meanwhile has to be removed from the disk."""
        self._copies.update(one.result.id for one in batch.waiting if one.place is not Place.NOWHERE)
        self._in_flight = []
        self.progressed()

    def progressed(self) -> None:
        """The database has taken something."""
        self._unstored_since = time.monotonic() if self._queue else None
        self.watch.worked()
        self.show()

    def give_back(self, batch: Batch) -> None:
        """A batch that could not be stored; results keep their order, beliefs are read anew next time."""
        self._in_flight = []
        in_memory = (one for one in batch.waiting if one.place is not Place.ON_DISK)
        self._queue = deque(merge(in_memory, self._queue, key=_since))
        self._dirty.update(one.target for one in batch.healths)
        self._vectors = batch.vectors | self._vectors
        self._bound()
        self.arrived.set()

    def older_than(self, seconds: float, most: int) -> list[Waiting]:
        """What has waited for long and lies nowhere else, the oldest first."""
        before = time.monotonic() - seconds
        found: list[Waiting] = []
        for one in merge(self._in_flight, self._queue, key=_since):
            if len(found) >= most or one.since > before:
                break
            if one.place is Place.NOWHERE:
                found.append(one)
        return found

    def put(self, waiting: Sequence[Waiting], place: Place) -> None:
        """Say where results lie now; what lies on disk need not be here."""
        for one in waiting:
            one.place = place
        if place is Place.ON_DISK:
            self._queue = deque(one for one in self._queue if one.place is not Place.ON_DISK)
        self.show()

    def take_copies(self) -> list[ResultId]:
        """Ids that are stored and still lie on disk; whoever takes them removes them."""
        copies, self._copies = list(self._copies), set()
        return copies

    def unstored_seconds(self) -> float:
        """For how long the database has taken nothing although there was something; 0 when it has."""
        return 0.0 if self._unstored_since is None else time.monotonic() - self._unstored_since

    def show(self) -> None:
        """Export how many wait."""
        self._metrics.set_results_pending(len(self))

    def _stored_healths(self, targets: Iterable[TargetId]) -> list[StoredHealth]:
        now = self._now()
        return [self._beliefs.stored(id_, now) for id_ in targets if id_ in self._beliefs.healths]

    def _bound(self) -> None:
        dropped = 0
        while len(self._queue) > self._most:
            dropped += self._queue.popleft().place is Place.NOWHERE
        if dropped:
            self._metrics.count_results_dropped(dropped)
        self.show()


def _since(one: Waiting) -> float:
    return one.since
