from math import inf, nan, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.domain.embedding import SAME_SPACE_COSINE, cosine, same_space

ONE, NEAR, FAR = (1.0, 0.0, 0.0), (0.995, 0.0998, 0.0), (0.9, 0.43, 0.0)
EDGE = (0.99, sqrt(1 - 0.99**2), 0.0)


def test_equal_names_are_one_space_whatever_the_vectors_say() -> None:
    assert same_space("bge", "bge", None, None) is True
    assert same_space("bge", "bge", ONE, FAR) is True


def test_different_names_are_two_spaces() -> None:
    assert same_space("bge", "e5", None, None) is False
    assert same_space("bge", "e5", ONE, ONE) is False


def test_one_name_alone_tells_nothing_and_the_vectors_decide() -> None:
    assert same_space("bge", None, None, None) is None
    assert same_space(None, "bge", ONE, ONE) is True
    assert same_space("bge", None, ONE, FAR) is False


def test_vectors_of_one_direction_are_one_space() -> None:
    assert same_space(None, None, ONE, NEAR) is True
    assert same_space(None, None, ONE, (7.0, 0.0, 0.0)) is True
    assert same_space(None, None, ONE, FAR) is False
    assert same_space(None, None, ONE, (-1.0, 0.0, 0.0)) is False


def test_a_cosine_of_exactly_the_limit_is_one_space() -> None:
    assert cosine(ONE, EDGE) == SAME_SPACE_COSINE
    assert same_space(None, None, ONE, EDGE) is True


def test_a_vector_without_length_has_a_cosine_of_nothing() -> None:
    assert cosine(ONE, (0.0, 0.0, 0.0)) == 0


def test_vectors_of_different_dimensions_have_no_cosine() -> None:
    with pytest.raises(ValueError, match="shorter"):
        cosine(ONE, (1.0, 0.0))


def test_vectors_of_different_dimensions_are_two_spaces() -> None:
    assert same_space(None, None, ONE, (1.0, 0.0)) is False


def test_without_both_vectors_nothing_is_known() -> None:
    assert same_space(None, None, ONE, None) is None
    assert same_space(None, None, None, ONE) is None


@pytest.mark.parametrize("bad", [(0.0, 0.0, 0.0), (nan, 0.0, 0.0), (inf, 0.0, 0.0), (1e200, 1e200, 0.0)])
def test_a_vector_that_is_none_shares_no_space(bad: tuple[float, ...]) -> None:
    assert same_space(None, None, ONE, bad) is False
    assert same_space(None, None, bad, bad) is False


def test_empty_vectors_share_no_space() -> None:
    assert same_space(None, None, (), ()) is False


NUMBERS = st.floats(-1e3, 1e3).filter(lambda one: one == 0 or abs(one) > 1e-3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20))
def test_the_cosine_is_symmetric_and_never_above_one(pairs: list[tuple[float, float]]) -> None:
    one, other = zip(*pairs, strict=True)
    assert cosine(one, other) == pytest.approx(cosine(other, one))
    assert abs(cosine(one, other)) <= 1 + 1e-9
