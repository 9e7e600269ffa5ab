"""What waits to be stored keeps its order, whoever takes a part of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.domain.health import Health
from monitor.domain.outcome import Outcome, ProbeResult, ResultId
from monitor.domain.policy import Policy
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.target import ProbeKind, TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.pending import Pending, Place, Waiting
from monitor.jobs.store_watch import StoreWatch
from monitor.metrics import Metrics
from monitor.storage.spool import Spool

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVER = ProviderRef(type=ProviderType.AI_SERVER, id=1)
CHAT = TargetId(provider=SERVER, purpose=Purpose.CHAT)
EMBEDDINGS = TargetId(provider=SERVER, purpose=Purpose.EMBEDDINGS)
NONE = TargetId(provider=SERVER, purpose=None)


def nothing() -> None:
    """Nobody wants to know."""


@pytest.fixture
def pending(tmp_path: Path) -> Pending:
    """Six results of three targets, whose beliefs have changed, and a vector."""
    metrics = Metrics(version="0")
    beliefs = Beliefs(lambda _: Policy(), NOW)
    spool = Spool(tmp_path, metrics.count_results_dropped)
    found = Pending(
        beliefs, metrics, lambda: NOW, spool=spool, watch=StoreWatch(metrics, nothing, nothing), most=7
    )
    for number, target in enumerate((EMBEDDINGS, CHAT, NONE, CHAT, EMBEDDINGS, NONE)):
        beliefs.healths[target] = Health(fingerprint="f")
        found.mark(target)
        found.add(result(number, target))
    found.add_vector(SERVER, "f", (1.0,))
    return found


def result(number: int, target: TargetId) -> ProbeResult:
    return ProbeResult(
        id=ResultId(str(number)),
        target=target,
        fingerprint="f",
        kind=ProbeKind.DEEP,
        outcome=Outcome.OK,
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=number),
    )


def numbers(waiting: list[Waiting]) -> str:
    return "".join(one.result.id for one in waiting)


def test_a_purpose_takes_what_is_its_own_and_leaves_the_rest(pending: Pending) -> None:
    batch = pending.take_of(Purpose.CHAT)
    assert (numbers(batch.waiting), [one.target for one in batch.healths]) == ("13", [CHAT])
    assert not batch.vectors
    assert len(pending) == 6, "what is under way is not stored yet"
    pending.stored(batch)
    assert pending.arrived.is_set(), "the rest is still to be stored"

    rest = pending.take()
    assert (numbers(rest.waiting), {one.target for one in rest.healths}) == ("0245", {EMBEDDINGS, NONE})
    assert rest.vectors == {(SERVER, "f"): (1.0,)}
    pending.stored(rest)
    assert (len(pending), pending.idle) == (0, True)


def test_what_a_purpose_gives_back_stands_where_it_stood(pending: Pending) -> None:
    batch = pending.take_of(Purpose.CHAT)
    pending.add(result(6, CHAT))
    pending.give_back(batch)
    whole = pending.take()
    assert numbers(whole.waiting) == "0123456"
    assert {one.target for one in whole.healths} == {CHAT, EMBEDDINGS, NONE}


def test_what_lies_on_disk_meanwhile_is_not_given_back(pending: Pending) -> None:
    batch = pending.take_of(Purpose.CHAT)
    pending.put(batch.waiting[:1], Place.ON_DISK)
    pending.give_back(batch)
    assert numbers(pending.take().waiting) == "02345"


def test_the_oldest_are_laid_on_disk_first_whoever_has_taken_them(pending: Pending) -> None:
    pending.take_of(Purpose.EMBEDDINGS)
    assert numbers(pending.older_than(0, 10)) == "012345"
    assert numbers(pending.older_than(0, 3)) == "012"


def test_the_oldest_are_dropped_first_when_too_many_are_given_back(pending: Pending) -> None:
    batch = pending.take_of(Purpose.CHAT)
    for number in (6, 7, 8):
        pending.add(result(number, CHAT))
    pending.give_back(batch)
    assert numbers(pending.take().waiting) == "2345678"
