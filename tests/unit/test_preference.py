from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.domain.preference import Pointers, ordered, read_edit
from monitor.domain.target import ProviderRef
from tests.unit.build import A, B, C, server

D = server(4)


def pointers(active: ProviderRef, fallback: ProviderRef | None = None) -> Pointers:
    return Pointers(active=active, fallback=fallback)


def test_a_purpose_that_is_new_is_taken_up_as_it_stands() -> None:
    edit = read_edit(None, pointers(A, B), ())
    assert edit is not None
    assert (edit.preference, edit.chosen) == ((A, B), True)


def test_an_identical_write_changes_nothing() -> None:
    assert read_edit(pointers(A, B), pointers(A, B), (A, B, C)) is None
    assert read_edit(pointers(B, A), pointers(B, A), (A, B)) is None


def test_naming_another_one_to_serve_is_a_new_preference() -> None:
    edit = read_edit(pointers(A, B), pointers(C, B), (A, B, D))
    assert edit is not None
    assert (edit.preference, edit.chosen) == ((C, B, A, D), True)


def test_naming_the_preferred_one_again_after_a_failover_is_an_act_too() -> None:
    edit = read_edit(pointers(B, A), pointers(A, A), (A, B))
    assert edit is not None
    assert (edit.preference, edit.chosen) == ((A, B), True)


def test_an_edit_of_the_fallback_alone_changes_the_second_candidate() -> None:
    edit = read_edit(pointers(A, B), pointers(A, C), (A, B, D))
    assert edit is not None
    assert (edit.preference, edit.chosen) == ((A, C, D), False)


def test_a_fallback_that_stood_further_down_moves_up() -> None:
    edit = read_edit(pointers(A, B), pointers(A, D), (A, B, C, D))
    assert edit is not None
    assert edit.preference == (A, D, C)


def test_a_fallback_that_is_cleared_takes_the_second_candidate_with_it() -> None:
    edit = read_edit(pointers(A, B), pointers(A), (A, B, C))
    assert edit is not None
    assert edit.preference == (A, C)


def test_a_fallback_that_is_preferred_already_changes_no_order() -> None:
    """After a failover onto B an operator names A, the preferred one, as the fallback: B stays the second."""
    edit = read_edit(pointers(B, C), pointers(B, A), (A, B, C))
    assert edit is not None
    assert (edit.preference, edit.chosen) == ((A, B, C), False)


def test_a_fallback_for_a_purpose_without_candidates_follows_the_one_that_serves() -> None:
    edit = read_edit(pointers(A), pointers(A, B), ())
    assert edit is not None
    assert edit.preference == (A, B)


def test_one_that_is_its_own_fallback_stays_the_only_candidate() -> None:
    edit = read_edit(pointers(A), pointers(A, A), ())
    assert edit is not None
    assert (edit.preference, edit.chosen) == ((A,), False)


def test_ordered_keeps_the_first_of_each_and_none_that_is_absent() -> None:
    assert ordered((A, None, B, A, None, C, B)) == (A, B, C)
    assert ordered(()) == ()


REFS = st.sampled_from((A, B, C, D))
POINTERS = st.builds(pointers, REFS, st.none() | REFS)


@settings(max_examples=60, deadline=None)
@given(st.none() | POINTERS, POINTERS, st.lists(REFS, unique=True).map(tuple))
def test_an_order_never_names_anybody_twice_nor_forgets_who_was_chosen(
    seen: Pointers | None, row: Pointers, preference: tuple[ProviderRef, ...]
) -> None:
    edit = read_edit(seen, row, preference)
    assert (edit is None) == (seen == row)
    if edit is not None:
        assert len(set(edit.preference)) == len(edit.preference) > 0
        assert edit.chosen == (seen is None or seen.active != row.active)
        assert edit.preference[0] == (row.active if edit.chosen or not preference else preference[0])
