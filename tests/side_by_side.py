"""Tests by several workers at a time (`pytest -n`): what is handed to a worker as one, and in which order."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

DAEMONS, QUICK = "tests/acceptance/", "tests/unit/"
"""Daemons keep the cores busy, and what needs none waits most of its time: some of both run at any moment."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
    """Files stay whole, for their tests share what is dear to make; tests of daemons share nothing."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """What is handed to a worker as one."""
    return nodeid if nodeid.startswith(DAEMONS) else nodeid.partition("::")[0]


def arrange(nodeids: list[str]) -> list[str]:
    """The order in which tests are handed out: folders side by side, what is quick at the end.

    Args:
        nodeids: in the order of their files.
    """
    scopes: dict[str, dict[str, int]] = {}
    for nodeid in nodeids:
        known = scopes.setdefault(_folder(nodeid), {})
        known.setdefault(scope_of(nodeid), len(known))

    def place(nodeid: str) -> tuple[bool, float]:
        known = scopes[_folder(nodeid)]
        return nodeid.startswith(QUICK), (known[scope_of(nodeid)] + 0.5) / len(known)

    return sorted(nodeids, key=place)


def _folder(nodeid: str) -> str:
    return nodeid.partition("::")[0].rpartition("/")[0]
