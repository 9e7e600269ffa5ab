"""Durations counted in logarithmic buckets: small, and the sum of many is as exact as one made of all."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

LEAST_SECONDS = 1e-4
GROWTH = 1.1
LAST = math.ceil(math.log(7200 / LEAST_SECONDS, GROWTH))
"""Two hours and all beyond: no probe lasts that long."""

_STEP = math.log(GROWTH)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often which duration was seen; what is read from it errs by less than 5 %.

    Bucket `n` holds what is above `LEAST_SECONDS * GROWTH ** (n - 1)`, up to `LEAST_SECONDS * GROWTH ** n`;
    bucket 0 all that is shorter, the last one all that is longer. A bucket is told as the value that is
    equally far from both its bounds, relative to them: (GROWTH - 1) / (GROWTH + 1), 4.8 %.

    Attributes:
        buckets: how many durations, by bucket; no bucket with none.
    """

    buckets: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Histogram":
        """A histogram of durations; what is no number is left out."""
        buckets: dict[int, int] = {}
        for one in seconds:
            if not math.isnan(one):
                place = bucket(one)
                buckets[place] = buckets.get(place, 0) + 1
        return cls(buckets)

    @classmethod
    def unpack(cls, packed: Sequence[int]) -> "Histogram":
        """A histogram as `pack` wrote it."""
        return cls(dict(zip(packed[::2], packed[1::2], strict=True)))

    def pack(self) -> list[int]:
        """Bucket and count by turns, in order of the buckets."""
        return [number for pair in sorted(self.buckets.items()) for number in pair]

    def merge(self, other: "Histogram") -> "Histogram":
        """Both together; in whatever order and grouping, the same comes out."""
        if not self.buckets or not other.buckets:
            return self if self.buckets else other
        merged = dict(self.buckets)
        for place, count in other.buckets.items():
            merged[place] = merged.get(place, 0) + count
        return Histogram(merged)

    @property
    def count(self) -> int:
        """How many durations."""
        return sum(self.buckets.values())

    def quantile(self, q: float) -> float | None:
        """The duration, in seconds, that a share `q` of all does not exceed (nearest rank); None without any.

        Args:
            q: from 0, the shortest, to 1, the longest.
        """
        rank = max(1, math.ceil(q * self.count))
        seen = 0
        for place in sorted(self.buckets):
            seen += self.buckets[place]
            if seen >= rank:
                return bucket_seconds(place)
        return None


def bucket(seconds: float) -> int:
    """The bucket of a duration."""
    if seconds <= LEAST_SECONDS:
        return 0
    if math.isinf(seconds):
        return LAST
    return min(math.ceil(math.log(seconds / LEAST_SECONDS) / _STEP), LAST)


def bucket_seconds(place: int) -> float:
    """What a bucket is told as."""
    return _SECONDS[place]


_SECONDS = [LEAST_SECONDS * GROWTH**place * 2 / (GROWTH + 1) for place in range(LAST + 1)]
