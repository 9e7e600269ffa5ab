"""The defaults, each with its reason in the simulation: none changes unnoticed."""

import json
from datetime import timedelta

from monitor.domain.policy import Failback, Policy, policy_record


def test_the_defaults_are_those_that_were_simulated() -> None:
    assert policy_record(Policy()) == {
        "deep_interval": 30,
        "standby_interval": 300,
        "slow_start_interval": 3600,
        "light_interval": 30,
        "light_interval_local": 10,
        "recheck_interval": 10,
        "down_interval": 60,
        "blocked_interval": 300,
        "rate_limited_interval": 60,
        "stranded_interval": 10,
        "jitter": 0.1,
        "connect_timeout": 5,
        "first_token_timeout": 10,
        "first_token_timeout_loading": 120,
        "stall_timeout": 15,
        "timeout": 20,
        "timeout_loading": 130,
        "fall": 3,
        "fall_span": 30,
        "window": 20,
        "window_failures": 6,
        "rise": 2,
        "block_count": 2,
        "block_span": 10,
        "starting_grace": 300,
        "rate_limit_default": 30,
        "rate_limit_count": 3,
        "rate_limit_span": 120,
        "rate_limit_at_once": 300,
        "report_fall": 5,
        "report_share": 0.5,
        "report_window": 20,
        "report_span": 60,
        "stale_intervals": 3,
        "slow_factor": 3,
        "light_forward_interval": 60,
        "daily_cost_usd": 0.25,
        "failback": "auto",
        "hold": 300,
        "hold_max": 3600,
        "switch_window": 3600,
        "switch_limit": 4,
        "return_gap": 60,
        "qualification_retry": 60,
        "start_grace": 60,
    }


def test_a_policys_record_is_json_with_its_durations_in_seconds() -> None:
    policy = Policy(hold=timedelta(minutes=2), failback=Failback.MANUAL, fall=2)
    read = json.loads(json.dumps(policy_record(policy)))
    assert (read["hold"], read["failback"], read["fall"]) == (120, "manual", 2)
