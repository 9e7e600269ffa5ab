"""The order in which several workers are handed the tests."""

from tests.side_by_side import arrange


def test_daemons_and_whole_files_alternate_and_what_is_quick_comes_last() -> None:
    unit = ["tests/unit/test_a.py::one", "tests/unit/test_b.py::one"]
    daemons = [f"tests/acceptance/test_d.py::test[{name}/x]" for name in "abcd"]
    files = [f"tests/integration/test_{name}.py::{number}" for name in "pq" for number in (1, 2)]
    assert arrange([*daemons, *files, *unit]) == [
        daemons[0],
        *files[:2],
        daemons[1],
        daemons[2],
        *files[2:],
        daemons[3],
        *unit,
    ]


def test_a_folder_of_its_own_keeps_its_order() -> None:
    system = ["tests/system/test_z.py::one", "tests/system/test_a.py::one", "tests/system/test_a.py::two"]
    assert arrange(system) == system
