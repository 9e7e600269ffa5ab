"""Histograms of durations: any grouping of the same gives the same, within five percent of the truth."""

import math

from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.histogram import LAST, LEAST_SECONDS, Histogram, bucket

seconds = st.floats(LEAST_SECONDS, 7200)
many = st.lists(seconds, max_size=30)


@given(many, many, many)
def test_merging_is_the_same_in_any_order_and_grouping_and_as_one_of_all(
    one: list[float], two: list[float], three: list[float]
) -> None:
    a, b, c = Histogram.of(one), Histogram.of(two), Histogram.of(three)
    assert (
        a.merge(b).merge(c) == a.merge(b.merge(c)) == c.merge(b).merge(a) == Histogram.of(one + two + three)
    )
    assert a.merge(Histogram()) == Histogram().merge(a) == a


@given(st.lists(seconds, min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_is_within_five_percent_of_the_exact_one(durations: list[float], q: float) -> None:
    exact = sorted(durations)[max(1, math.ceil(q * len(durations))) - 1]
    told = Histogram.of(durations).quantile(q)
    assert told is not None
    assert abs(told - exact) <= 0.05 * exact


@given(many)
def test_a_packed_histogram_comes_back(durations: list[float]) -> None:
    histogram = Histogram.of(durations)
    packed = histogram.pack()
    assert Histogram.unpack(packed) == histogram
    assert packed[::2] == sorted(set(packed[::2]))
    assert histogram.count == len(durations)


@given(seconds, seconds)
def test_a_longer_duration_lies_in_no_lower_bucket(one: float, other: float) -> None:
    assert (bucket(one) <= bucket(other)) or one > other


def test_of_nothing_nothing_is_told() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().count == 0


def test_whatever_number_comes_has_its_place() -> None:
    odd = Histogram.of([-1.0, 0.0, 1e-300, math.inf, 1e300, math.nan])
    assert odd.buckets == {0: 3, LAST: 2}
