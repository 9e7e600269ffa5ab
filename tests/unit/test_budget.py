from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.budget import LONGEST, day_start, stretch
from tests.unit.build import seconds

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HALF_DAY = 43_200


def stretched(
    interval: float, *, spent: float, each: float, limit: float = 0.25, now: datetime = NOON
) -> float:
    return stretch(
        seconds(interval), spent_usd=spent, round_usd=each, limit_usd=limit, now=now
    ).total_seconds()


def test_what_fits_into_the_rest_of_the_day_is_left_alone() -> None:
    assert stretched(30, spent=0.1, each=0.15 * 30 / HALF_DAY) == pytest.approx(30)


def test_what_costs_less_than_is_left_is_not_probed_more_often() -> None:
    assert stretched(30, spent=0.0, each=1e-9) == 30


def test_what_does_not_fit_stretches_until_it_does() -> None:
    each = 0.0001
    interval = stretched(30, spent=0.2, each=each)
    assert 30 < interval < 300
    assert HALF_DAY / interval * each == pytest.approx(0.05)


def test_a_provider_is_never_left_unwatched_for_longer_than_five_minutes() -> None:
    assert stretched(30, spent=0.25, each=0.001) == 300
    assert stretched(30, spent=9.0, each=0.001) == 300
    assert stretched(30, spent=0.2, each=1.0) == 300
    assert stretched(30, spent=0.0, each=0.001, limit=0) == 300


def test_an_interval_that_is_longer_already_stays() -> None:
    assert stretched(3600, spent=9.0, each=1.0) == 3600


def test_what_costs_nothing_is_never_stretched() -> None:
    assert stretched(10, spent=0.25, each=0.0) == 10


def test_a_rest_that_is_only_rounding_is_spent() -> None:
    """0.1 + 0.1 + 0.05 leaves 2.8e-17 of 0.25 in floating point: that is nothing, and no crash."""
    assert stretched(30, spent=0.24999999999999997, each=0.001) == 300
    assert stretched(30, spent=0.25 - 5e-324, each=1e300) == 300


def test_the_day_is_utcs() -> None:
    east = datetime(2026, 3, 2, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    assert day_start(east) == datetime(2026, 3, 1, tzinfo=UTC)


@given(
    interval=st.floats(1, 7200),
    spent=st.floats(0, 1e6),
    each=st.floats(0, 1e6),
    limit=st.floats(0, 10_000),
    second=st.integers(0, 86_399),
)
def test_stretching_never_shortens_and_never_passes_the_longest(
    interval: float, spent: float, each: float, limit: float, second: int
) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=second)
    wanted = seconds(interval)
    found = stretch(wanted, spent_usd=spent, round_usd=each, limit_usd=limit, now=now)
    assert wanted <= found <= max(wanted, LONGEST)
