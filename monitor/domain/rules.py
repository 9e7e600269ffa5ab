"""What each rule says, with the numbers of the policy: the documentation's list is made of it."""

from datetime import timedelta
from textwrap import fill

from monitor.domain.policy import Failback, Policy
from monitor.domain.situation import Rule

SAYS: dict[Rule, str] = {
    Rule.PAUSED: "an operator paused the purpose. Nothing moves.",
    Rule.PINNED: "an operator's pin holds. Nothing moves.",
    Rule.FAIL_OVER: (
        "the one that serves is down, blocked or gone. The first eligible candidate that passes a deep "
        "probe begun after the failure began takes over: what was believed of it before may be as old as "
        "its interval. One that fails that probe is passed over for {qualification_retry} "
        "(`qualification_retry`). Nobody returns within {return_gap} to one that was left (`return_gap`)."
        " After {switch_limit} moves within {switch_window} (`switch_limit`, `switch_window`) a candidate"
        " must have been eligible for {return_gap} as well."
    ),
    Rule.CALL_FOR_HELP: (
        "nobody is eligible. The purpose keeps whom it has and is reported as stranded; all candidates "
        "are probed every {stranded_interval} (`stranded_interval`), and the first that passes is taken, "
        "whatever its past."
    ),
    Rule.FAIL_BACK: (
        "a more preferred candidate has been eligible for {hold} (`hold`), doubled by each further move "
        "within {switch_window} (at most {hold_max}, `hold_max`), and passes a deep probe. Not at all "
        "while {switch_limit} moves lie within {switch_window}. The policy `failback` is {failbacks}; the"
        " last two both leave the return to the operator."
    ),
    Rule.STAND_DOWN: (
        "the purpose was stranded and the one that serves passes again. The report is withdrawn."
    ),
    Rule.HOLD: "nothing is to be done.",
}


def rule_list(policy: Policy, width: int = 118) -> str:
    """The rules in their order as a numbered list in Markdown.

    Args:
        policy: its numbers stand in the text.
        width: the longest line.
    """
    numbers = {
        name: _shown(getattr(policy, name))
        for name in policy.__dataclass_fields__
        if isinstance(getattr(policy, name), int | timedelta)
    }
    *others, last = (f"`{one}`" for one in Failback)
    numbers["failbacks"] = f"{', '.join(others)} or {last}"
    return "\n".join(
        fill(f"{place}. `{rule}`: {SAYS[rule].format(**numbers)}", width, subsequent_indent="   ")
        for place, rule in enumerate(Rule, start=1)
    )


def _shown(value: timedelta | int) -> str:
    if isinstance(value, int):
        return str(value)
    if value == timedelta(hours=1):
        return "an hour"
    return f"{value.total_seconds():g} s"
