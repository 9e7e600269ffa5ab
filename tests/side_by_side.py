"""Tests by several workers at a time (`pytest -n`): what is handed to a worker as one, and in which order."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

LONG_FIRST = ("tests/acceptance/", "tests/integration/", "tests/unit/")
"""What takes long begins early, so that at the end nobody waits for the last."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
    """Files stay whole, for their tests share what is dear to make; tests of daemons share nothing."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(LONG_FIRST[0]) else nodeid.partition("::")[0]


def place(item: pytest.Item) -> int:
    """Where a test stands among those that workers are handed."""
    found = (number for number, folder in enumerate(LONG_FIRST) if item.nodeid.startswith(folder))
    return next(found, 0)
