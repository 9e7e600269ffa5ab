"""The page's small pictures: what is drawn, what is said of it, and what a script is told."""

import re
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitor.domain.histogram import Histogram
from monitor.domain.provider import ProviderRef
from monitor.web.page.charts import BARS_HEIGHT, CHART_HEIGHT, DayParts, HourPoint, draw_days, draw_hours
from monitor.web.page.view_past import quantiles
from monitor.web.page.words import reason_in_words

TODAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
UP, HOUR_DOWN = DayParts(1440, 0, 0), DayParts(1380, 60, 0)
THIS_HOUR = int(NOW.timestamp()) // 3600


def days_ago(number: int) -> date:
    return TODAY - timedelta(days=number)


def expanded(code: str) -> list[str]:
    parts = [one.split("*") for one in code.split(" ")]
    return [one[0] for one in parts for _ in range(int(one[1]) if len(one) > 1 else 1)]


@given(st.dictionaries(st.integers(0, 89), st.sampled_from([UP, HOUR_DOWN, DayParts(0, 0, 1440)])))
def test_each_of_ninety_days_is_told_once_whatever_is_known(known: dict[int, DayParts]) -> None:
    bars = draw_days({days_ago(number): parts for number, parts in known.items()}, TODAY)
    told = expanded(bars.code)
    assert len(told) == 90
    for number in range(90):
        parts = known.get(number)
        seen = parts is not None and parts.up + parts.down > 0
        assert told[89 - number] == (f"{parts.up},{parts.down},{parts.unknown}" if seen and parts else "-")
    # A dashed line of some days is as long as that many bars with the gaps between them.
    drawn = sum((int(one) + 2) // 6 for one in re.findall(r"h(\d+)", bars.up + bars.unknown))
    assert drawn + bars.trouble == 90
    assert bars.calm + bars.trouble + bars.unseen == 90
    assert len(bars.known) == bars.calm + bars.trouble


def test_a_minute_down_is_seen_and_a_day_down_fills_its_bar() -> None:
    short = draw_days({TODAY: DayParts(1439, 1, 0)}, TODAY)
    assert re.fullmatch(r"M534 0h4V7h-4z", short.down)
    assert short.troubled[0].share == "99.93 %"
    whole = draw_days({TODAY: DayParts(0, 1440, 0)}, TODAY)
    assert whole.down.endswith(f"V{BARS_HEIGHT}h-4z")
    assert whole.rest == ""
    assert whole.troubled[0].share == "0.0 %"


def test_only_the_last_troubled_days_are_told_in_words() -> None:
    bars = draw_days({days_ago(number): HOUR_DOWN for number in range(30)}, TODAY)
    assert [one.date for one in bars.last_troubled(2)] == [TODAY, days_ago(1)]
    assert bars.label == "The last 90 days: 30 days with trouble and 60 days without data"


def test_an_hour_without_data_is_a_gap_and_an_hour_alone_a_dash() -> None:
    points = [HourPoint(THIS_HOUR - number, 0.2, 0.4, 0.1) for number in (10, 9, 5)]
    chart = draw_hours(points, NOW)
    assert chart is not None
    assert chart.line.count("M") == chart.first.count("M") == chart.band.count("Z") == 2
    heights = [int(one) for one in re.findall(r"\d+ (\d+)", chart.line + chart.band + chart.first)]
    assert all(0 <= one <= CHART_HEIGHT for one in heights)
    assert chart.label == (
        "Latency of the last 48 hours: typically 0.20 s, slowest twentieth up to 0.40 s; last 0.20 s. "
        "First token typically after 0.10 s"
    )
    assert draw_hours([HourPoint(THIS_HOUR - 60, 0.2, 0.4)], NOW) is None


@given(st.lists(st.floats(0, 8000), min_size=1, max_size=60), st.floats(0, 1))
def test_quantiles_are_those_of_the_histogram(seconds: list[float], q: float) -> None:
    found = Histogram.of(seconds)
    assert quantiles(",".join(map(str, found.pack())), (q,)) == [found.quantile(q)]


def test_a_recorded_reason_is_told_with_names_and_words() -> None:
    names = {ProviderRef.parse("ai_server:1"): "gpu-1", ProviderRef.parse("api_key:12"): "openai/main"}
    told = reason_in_words("ai_server:1 is down: timeout; api_key:12 has passed", names.__getitem__)
    assert told == "gpu-1 is down: no answer in time; openai/main has passed"
    assert reason_in_words("is blocked: auth", names.__getitem__) == "is blocked: its key is refused"
    assert reason_in_words("no timeout here, and my_ai_server:1", names.__getitem__) == (
        "no timeout here, and my_ai_server:1"
    )
