"""The bench's arithmetic: a wrong percentile would praise a slow daemon."""

from math import inf

import pytest

from tests.bench.figures import Figure, between, histogram_percentile, percentile, read_buckets

PAGE = """\
# TYPE lag_seconds histogram
lag_seconds_bucket{le="0.001"} 50.0
lag_seconds_bucket{le="0.01"} 90.0
lag_seconds_bucket{le="+Inf"} 100.0
lag_seconds_count 100.0
other_bucket{le="+Inf"} 7.0
"""
BUCKETS = {0.001: 50.0, 0.01: 90.0, inf: 100.0}


def test_the_buckets_of_one_histogram_are_read() -> None:
    assert read_buckets(PAGE, "lag_seconds") == BUCKETS
    with pytest.raises(LookupError, match="absent"):
        read_buckets(PAGE, "absent")


def test_only_what_came_between_two_looks_counts() -> None:
    later = {0.001: 50.0, 0.01: 190.0, inf: 200.0}
    assert between(BUCKETS, later) == {0.001: 0.0, 0.01: 100.0, inf: 100.0}
    assert between({}, later) == later


@pytest.mark.parametrize(
    ("share", "seconds"), [(0.25, 0.0005), (0.5, 0.001), (0.7, 0.0055), (0.9, 0.01), (0.99, 0.01)]
)
def test_a_percentile_lies_evenly_within_its_bucket(share: float, seconds: float) -> None:
    assert histogram_percentile(BUCKETS, share) == pytest.approx(seconds)


def test_an_empty_bucket_holds_no_percentile() -> None:
    assert histogram_percentile({0.1: 0.0, 0.2: 0.0, 0.4: 10.0, inf: 10.0}, 0.5) == pytest.approx(0.3)


def test_a_percentile_of_values_is_one_of_them() -> None:
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([3, 1, 2], 1.0) == 3


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure(name="a", median=2.6, baseline=2.0, unit="ms", most=1.3), "kept"),
        (Figure(name="a", median=2.7, baseline=2.0, unit="ms", most=1.3), "missed"),
        (Figure(name="a", median=5.0, unit="s", most=5.0), "kept"),
        (Figure(name="a", median=1.0, unit="", most=0), "missed"),
        (Figure(name="a", median=99.9, unit="%", least=100), "missed"),
        (Figure(name="a", median=100.0, unit="%", least=100), "kept"),
        (Figure(name="a", median=1.0, unit="%"), ""),
    ],
)
def test_an_aim_is_for_the_ratio_where_there_is_one(figure: Figure, verdict: str) -> None:
    assert figure.verdict == verdict
