"""Which minutes were up, down or unknown, from what probes showed in some of them."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.outcome import Outcome
from monitor.domain.rollup import Arrival, Subject, Sums, gather
from monitor.domain.uptime import (
    HOUR,
    MINUTES,
    REACH_UNTOLD,
    Folded,
    Marks,
    Uptime,
    fold,
    minutes_begun,
    reach_minutes,
    says,
)

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALL = (1 << MINUTES) - 1
CHAT = Subject("api_key", 1, "chat", "deep")


def minutes(*numbers: int) -> int:
    return sum(1 << number for number in numbers)


masks = st.integers(0, ALL)


def plainly(marks: Marks, carried: int, begun: int) -> Folded:
    """The same minute by minute, each looked up on its own."""
    up = down = 0
    words = [(minute, bool(marks.passed >> minute & 1)) for minute in range(60)
             if (marks.passed | marks.failed) >> minute & 1]  # fmt: skip
    for minute in range(begun):
        heard = [(at, word) for at, word in words if at <= minute]
        if marks.failed >> minute & 1:
            down |= 1 << minute
        elif heard:
            at, word = heard[-1]
            if minute - at <= marks.reach:
                up, down = (up | 1 << minute, down) if word else (up, down | 1 << minute)
        elif minute < abs(carried):
            up, down = (up | 1 << minute, down) if carried > 0 else (up, down | 1 << minute)
    if begun < 60:
        return Folded(up=up, down=down)
    if words:
        at, word = words[-1]
        left = max(at + marks.reach - 59, 0)
        return Folded(up=up, down=down, carried=left if word else -left)
    left = max(abs(carried) - 60, 0)
    return Folded(up=up, down=down, carried=left if carried > 0 else -left)


@given(
    st.builds(Marks, passed=masks, failed=masks, reach=st.integers(0, 200)),
    st.integers(-200, 200),
    st.integers(0, MINUTES),
)
def test_an_hour_folds_as_each_of_its_minutes_alone(marks: Marks, carried: int, begun: int) -> None:
    folded = fold(marks, carried, begun)
    assert folded == plainly(marks, carried, begun)
    assert folded.up & folded.down == 0
    assert (folded.up | folded.down) >> begun == 0


def test_a_minute_with_a_failure_is_down_and_what_holds_on_is_the_pass() -> None:
    folded = fold(Marks(passed=minutes(0, 10), failed=minutes(10), reach=3), 0, 20)
    assert folded.up == minutes(0, 1, 2, 3, 11, 12, 13)
    assert folded.down == minutes(10)


def test_a_word_holds_for_its_reach_and_nothing_is_known_afterwards() -> None:
    folded = fold(Marks(failed=minutes(5), reach=2), 0, MINUTES)
    assert (folded.up, folded.down, folded.carried) == (0, minutes(5, 6, 7), 0)


def test_a_word_is_handed_on_through_hours_without_a_probe() -> None:
    first = fold(Marks(passed=minutes(59), reach=125), 0, MINUTES)
    assert first.carried == 125
    second = fold(Marks(), first.carried, MINUTES)
    third = fold(Marks(), second.carried, MINUTES)
    assert (second.up, second.carried) == (ALL, 65)
    assert (third.up, third.carried) == (ALL, 5)
    assert fold(Marks(), third.carried, MINUTES).up == minutes(0, 1, 2, 3, 4)


def test_a_minute_counts_from_its_begin() -> None:
    assert minutes_begun(AT, AT) == 1
    assert minutes_begun(AT, AT - timedelta(seconds=1)) == 0
    assert minutes_begun(AT, AT + timedelta(minutes=59)) == 60
    assert minutes_begun(AT, AT + 3 * HOUR) == 60


def test_a_share_is_that_of_the_known_time() -> None:
    one = Uptime(up=timedelta(minutes=3), down=timedelta(minutes=1), unknown=timedelta(days=1), passed=5)
    assert one.share == 0.75
    assert (one + one).share == 0.75
    assert (one + Uptime(down=timedelta(minutes=4))).share == 0.375
    assert Uptime(unknown=timedelta(days=1)).share is None


def test_what_does_not_say_how_long_it_holds_holds_as_long_as_a_standbys() -> None:
    assert reach_minutes(None) == REACH_UNTOLD
    assert [reach_minutes(one) for one in (0.0, 59.9, 110.0, -5.0)] == [0, 0, 1, 0]
    assert reach_minutes(1e12) <= 32_767


def test_what_says_nothing_of_service_marks_no_minute() -> None:
    silent = {one for one in Outcome if says(one) is None}
    assert silent == {
        Outcome.BUSY,
        Outcome.RATE_LIMITED,
        Outcome.STARTING,
        Outcome.PROBE_INVALID,
        Outcome.INDETERMINATE,
    }
    gathered = gather(Arrival(CHAT, str(one), AT) for one in silent)
    assert not gathered.marks
    assert gathered.sums[CHAT, AT].counts == {str(one): 1 for one in silent}


def test_numbers_that_are_none_change_no_sum() -> None:
    odd = Arrival(CHAT, "ok", AT, float("nan"), None, 2**63 - 1, -5, float("inf"))
    plain = Arrival(CHAT, "ok", AT, 0.5, 0.1, 3, 4, 0.25)
    sums = gather([odd, plain]).sums[CHAT, AT]
    assert (sums.latency.count, sums.ttft.count, sums.cost_usd, sums.tokens_out) == (1, 1, 0.25, 4)
    assert sums.tokens_in == (sums + Sums(tokens_in=2**62)).tokens_in < 2**63


def test_a_word_of_a_later_version_is_counted_and_marks_nothing() -> None:
    gathered = gather([Arrival(CHAT, "sleepy", AT)])
    assert gathered.sums[CHAT, AT].counts == {"sleepy": 1}
    assert not gathered.marks
