"""A policy short enough to watch: the default's minutes are seconds here."""

from monitor.domain.policy import Policy
from monitor.settings import change_policy


def demo_policy() -> Policy:
    """Three failures in a row over two seconds are a fall; ten seconds of health earn the return.

    Switches count for one minute only, so that a story told every ninety seconds never doubles its own hold.
    """
    return change_policy(
        Policy(),
        {
            "deep_interval": "2s",
            "standby_interval": "2s",
            "light_interval_local": "5s",
            "light_forward_interval": "5s",
            "recheck_interval": "1s",
            "down_interval": "2s",
            "blocked_interval": "2s",
            "stranded_interval": "2s",
            "connect_timeout": "2s",
            "first_token_timeout": "4s",
            "stall_timeout": "4s",
            "timeout": "6s",
            "first_token_timeout_loading": "6s",
            "timeout_loading": "6s",
            "fall": 3,
            "fall_span": "2s",
            "window": 6,
            "window_failures": 5,
            "rise": 2,
            "hold": "10s",
            "hold_max": "1m",
            "switch_window": "1m",
            "return_gap": "5s",
            "qualification_retry": "3s",
            "start_grace": "5s",
        },
    )
