"""What the metrics say of a purpose while results, reports and time go by."""

from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.domain.outcome import Outcome
from monitor.domain.policy import Policy
from monitor.domain.target import ProviderRef
from monitor.jobs.export_purpose import export_purpose
from tests.replay_world import PURPOSE, World
from tests.unit.build import A, B

DEFAULT = replace(Policy(), start_grace=timedelta(0), jitter=0.0)


@pytest.fixture
def world() -> World:
    """A is up and serves, B is up."""
    world = World(DEFAULT)
    for _ in range(2):
        for ref in (A, B):
            world.probe(ref, Outcome.OK)
        world.wait(30)
    return world


def probed(world: World, ref: ProviderRef, outcome: Outcome) -> None:
    """A probe that has come back."""
    world.probe(ref, outcome)
    world.wait(1)


def value(world: World, name: str, **labels: str) -> float | None:
    """The first sample with this name, of this purpose."""
    for family in text_string_to_metric_families(world.metrics.render().decode()):
        for sample in family.samples:
            if sample.name == f"llm_monitor_{name}" and labels.items() <= sample.labels.items():
                return sample.value
    return None


def test_one_pass_or_failure_of_the_one_that_serves_is_told_at_once(world: World) -> None:
    assert value(world, "purpose_serving") == 1
    probed(world, A, Outcome.TIMEOUT)
    assert value(world, "purpose_serving") == 0
    world.wait(10)
    probed(world, A, Outcome.OK)
    assert value(world, "purpose_serving") == 1
    assert value(world, "purpose_probes_total", result="failed") == 1
    assert value(world, "purpose_probes_total", result="passed") == 3


def test_a_standby_says_nothing_of_the_purpose(world: World) -> None:
    probed(world, B, Outcome.TIMEOUT)
    assert value(world, "purpose_serving") == 1
    assert value(world, "purpose_probes_total", result="failed") == 0


@pytest.mark.parametrize("outcome", [Outcome.BUSY, Outcome.RATE_LIMITED, Outcome.STARTING])
def test_nobody_knows_of_one_that_is_busy_limited_or_starting(world: World, outcome: Outcome) -> None:
    probed(world, A, outcome)
    assert value(world, "purpose_serving") is None
    assert value(world, "purpose_probes_total", result="failed") == 0


@pytest.mark.parametrize("outcome", [Outcome.AUTH_FAILED, Outcome.QUOTA_EXHAUSTED, Outcome.MODEL_MISSING])
def test_one_that_refuses_does_not_serve(world: World, outcome: Outcome) -> None:
    probed(world, A, outcome)
    assert value(world, "purpose_serving") == 0
    assert value(world, "purpose_probes_total", result="failed") == 1


@pytest.mark.parametrize("outcome", list(Outcome))
def test_one_probe_changes_nothing_that_an_alert_calls_somebody_for(world: World, outcome: Outcome) -> None:
    probed(world, A, outcome)
    probed(world, B, outcome)
    for ref in (A, B):
        assert value(world, "provider_health", state="up", provider_id=str(ref.id)) == 1
        for block in ("auth", "quota", "model_missing"):
            assert value(world, "provider_block", block=block, provider_id=str(ref.id)) is None
    assert value(world, "purpose_stranded") == 0
    assert value(world, "purpose_failed_over") == 0
    assert world.moves == []


def test_one_pass_does_not_make_one_well_that_was_down(world: World) -> None:
    for _ in range(5):
        probed(world, B, Outcome.TIMEOUT)
        world.wait(15)
    assert value(world, "provider_health", state="down", provider_id=str(B.id)) == 1
    probed(world, B, Outcome.OK)
    assert value(world, "provider_health", state="down", provider_id=str(B.id)) == 1
    probed(world, B, Outcome.OK)
    assert value(world, "provider_health", state="down", provider_id=str(B.id)) == 0


def test_what_says_nothing_of_the_provider_leaves_what_was_known(world: World) -> None:
    for outcome in (Outcome.INDETERMINATE, Outcome.PROBE_INVALID):
        probed(world, A, outcome)
        assert value(world, "purpose_serving") == 1


def test_nobody_knows_when_no_result_has_come_for_long(world: World) -> None:
    world.wait(600)
    assert value(world, "purpose_serving") is None


def test_one_that_is_gone_does_not_serve(world: World) -> None:
    world.gone.add(A)
    world.configure()
    export_purpose(world.beliefs, world.metrics, PURPOSE, world.now)
    assert value(world, "purpose_serving") == 0


def test_a_move_of_its_own_is_told_until_the_first_of_the_order_serves_again(world: World) -> None:
    assert value(world, "purpose_failed_over") == 0
    world.beliefs.purposes[PURPOSE] = replace(world.state, rule="fail_over")
    export_purpose(world.beliefs, world.metrics, PURPOSE, world.now)
    assert value(world, "purpose_failed_over") == 0, "the first of the order serves"
    for rule, told in (("fail_over", 1), ("call_for_help", 1), ("operator", 0), ("adopted", 0)):
        assert world.state.seen is not None
        seen = replace(world.state.seen, active=B)
        world.beliefs.purposes[PURPOSE] = replace(world.state, seen=seen, rule=rule)
        export_purpose(world.beliefs, world.metrics, PURPOSE, world.now)
        assert value(world, "purpose_failed_over") == told, rule


def test_the_instant_of_the_last_decision_is_told(world: World) -> None:
    probed(world, A, Outcome.OK)
    at = value(world, "purpose_last_decision_timestamp_seconds")
    assert at is not None
    assert world.now.timestamp() - at <= 30


def test_reports_are_counted_by_what_they_showed(world: World) -> None:
    world.report(A, 2, 3, 0.0)
    assert value(world, "reports_total", outcome="ok") == 3
    assert (
        sum(
            value(world, "reports_total", outcome=outcome) or 0
            for outcome in ("unreachable", "timeout", "server_error")
        )
        == 2
    )


def test_the_interval_of_a_target_follows_what_is_wanted_of_it(world: World) -> None:
    probed(world, A, Outcome.OK)
    assert value(world, "provider_probe_interval_seconds", kind="deep", provider_id=str(A.id)) == 30
    probed(world, A, Outcome.TIMEOUT)
    assert value(world, "provider_probe_interval_seconds", kind="deep", provider_id=str(A.id)) == 10
