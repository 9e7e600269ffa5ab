"""What is dear to make and shared: a Debian, and the program installed in one."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import postgres
from tests.system import debian

DEBIAN = "_tree_and_wheels"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """On the disk: a container has a /dev/shm of its own."""
    with postgres.open_folder(postgres.DISK) as folder:
        yield folder


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of this run; pytest removes in time what a run that was killed has left."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if own.name.startswith("popen-") else own


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those first that need no Debian: it is made meanwhile."""
    items.sort(key=_wants_debian)


def _wants_debian(item: pytest.Item) -> bool:
    return DEBIAN in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session", autouse=True)
def _making(request: pytest.FixtureRequest, shared_folder: Path) -> Iterator[dict[str, Future[Path]]]:
    """Both begun as soon as one of this run's tests will want them."""
    # One waits for dpkg while the other waits for the network.
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        makers = {"debian": debian.make_tree, "wheels": debian.make_wheels}
        wanted = any(map(_wants_debian, request.session.items))
        yield {
            name: threads.submit(stack.enter_context, debian.shared(shared_folder / name, make))
            for name, make in (makers.items() if wanted else ())
        }


@pytest.fixture(scope="session")
def _tree_and_wheels(_making: dict[str, Future[Path]]) -> tuple[Path, Path]:
    return _making["debian"].result(), _making["wheels"].result()


@pytest.fixture(scope="session")
def debian_tree(_tree_and_wheels: tuple[Path, Path]) -> Path:
    """A Debian with Python and systemd; nobody changes it."""
    return _tree_and_wheels[0]


@pytest.fixture(scope="session")
def wheels(_tree_and_wheels: tuple[Path, Path]) -> Path:
    """The program's wheel and all that it depends on, for that Debian's Python, and the lock file."""
    return _tree_and_wheels[1]


@pytest.fixture(scope="session")
def installed_tree(shared_folder: Path, debian_tree: Path, wheels: Path) -> Iterator[Path]:
    """That Debian with the program in `debian.PROGRAM`; nobody changes it."""

    def make(folder: Path) -> None:
        debian.copy_tree(debian_tree, folder)
        debian.install_program(folder, wheels)

    with debian.shared(shared_folder / "installed", make) as tree:
        yield tree
