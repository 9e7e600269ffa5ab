"""What a status amounts to, and how answers are told."""

import io
import sys
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from monitor.cli.console import age, mark, plain, show_table
from monitor.cli.refusal import Refused, explain
from monitor.cli.status_page import show
from monitor.cli.status_report import Uptimes, as_json, bad_news, uptime_rows
from monitor.domain.application_status import ApplicationStatus
from monitor.domain.health import HealthState
from monitor.domain.outcome import OUTCOME_WORDS, Outcome
from monitor.domain.provider import Purpose
from monitor.domain.target import TargetId
from monitor.domain.uptime import Uptime
from monitor.settings import SettingsError
from monitor.storage.daemons import DaemonRow
from monitor.storage.status import Belief, LastResult, ProviderStatus, PurposeStatus, Status
from monitor.storage.status_words import effective, purpose_health
from tests.unit.build import A, B, at, seconds

BELIEF = Belief(
    purpose=Purpose.CHAT,
    state=HealthState.UP,
    since=at(0),
    eligible=True,
    status=ApplicationStatus.HEALTHY,
    blocks=(),
    warnings=(),
    stale_at=at(200),
    last_outcome=Outcome.OK,
    last_started_at=at(90),
    light_outcome=None,
    light_started_at=None,
    result=LastResult(latency_seconds=0.5, ttft_seconds=0.2, model="m1"),
)
PURPOSE = PurposeStatus(
    purpose="chat",
    active=A,
    fallback=B,
    is_seen=True,
    generation=1,
    since=at(0),
    rule="adopted",
    stranded_since=None,
    paused=False,
    pinned=None,
    pinned_until=None,
)
DAEMON = DaemonRow(
    instance=UUID(int=1),
    host="h",
    pid=1,
    version="0",
    role="active",
    listen="http://127.0.0.1:9780",
    started_at=at(0),
    silent=seconds(2),
)

UPTIMES = Uptimes(
    targets={
        TargetId(provider=A, purpose=Purpose.CHAT): {
            "24h": Uptime(up=timedelta(seconds=9999), down=timedelta(seconds=1), passed=9, failed=1)
        }
    },
    purposes={Purpose.CHAT: {"24h": Uptime(up=timedelta(days=1)), "7d": Uptime(unknown=timedelta(days=7))}},
)


def provider(ref: object = A, **changes: object) -> ProviderStatus:
    whole = ProviderStatus(ref=A, name="one", kind="vllm", enabled=True, beliefs=(BELIEF,))
    return replace(whole, ref=ref, **changes)  # type: ignore[arg-type]


def status(**changes: object) -> Status:
    whole = Status(
        as_of=at(100),
        daemons=(DAEMON,),
        purposes=(PURPOSE,),
        providers=(provider(), provider(B, name="two")),
        problems=(),
        transitions=(),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_a_healthy_purpose_and_a_living_daemon_are_no_news() -> None:
    assert bad_news(status()) == []
    assert as_json(status(), "postgresql://h/d")["status"] == "ok"


@pytest.mark.parametrize(
    ("daemons", "word"),
    [
        ((), "no daemon runs"),
        ((replace(DAEMON, silent=seconds(300)),), "no daemon has been seen for 300 s"),
        ((replace(DAEMON, role="standby"),), "no daemon decides"),
        ((replace(DAEMON, silent=seconds(300)), replace(DAEMON, role="standby")), "no daemon decides"),
    ],
)
def test_without_a_daemon_that_decides_there_is_bad_news(daemons: tuple[DaemonRow, ...], word: str) -> None:
    assert [word in line for line in bad_news(status(daemons=daemons))] == [True]


def test_a_stranded_purpose_is_bad_news_whatever_its_health() -> None:
    news = bad_news(status(purposes=(replace(PURPOSE, stranded_since=at(50)),)))
    assert news == ["chat is stranded: nobody is fit to serve it"]


@pytest.mark.parametrize(
    ("providers", "word"),
    [
        ((provider(beliefs=(replace(BELIEF, status=ApplicationStatus.DOWN),)),), "serves it and does not"),
        ((provider(enabled=False),), "is disabled"),
        ((provider(B),), "was deleted"),
    ],
)
def test_a_purpose_served_by_one_that_is_down_or_gone_is_bad_news(
    providers: tuple[ProviderStatus, ...], word: str
) -> None:
    assert [word in line for line in bad_news(status(providers=providers))] == [True]


def test_a_degraded_or_unknown_purpose_is_no_bad_news() -> None:
    for word in (ApplicationStatus.DEGRADED, ApplicationStatus.UNKNOWN):
        assert bad_news(status(providers=(provider(beliefs=(replace(BELIEF, status=word),)),))) == []


def test_a_belief_that_is_stale_is_not_known() -> None:
    assert effective(BELIEF, at(199)) is ApplicationStatus.HEALTHY
    assert effective(BELIEF, at(200)) is ApplicationStatus.UNKNOWN


def test_a_purpose_has_the_health_of_its_own_target() -> None:
    other = replace(BELIEF, purpose=Purpose.EMBEDDINGS, status=ApplicationStatus.DOWN)
    found = status(providers=(provider(beliefs=(other, BELIEF)),))
    assert purpose_health(found, PURPOSE) is ApplicationStatus.HEALTHY


def test_a_pin_that_has_ended_is_none() -> None:
    pinned = replace(PURPOSE, pinned=A, pinned_until=at(99))
    assert as_json(status(purposes=(pinned,)), "")["purposes"][0]["pinned"] is None
    endless = replace(pinned, pinned_until=None)
    whose = as_json(status(purposes=(endless,)), "")["purposes"][0]["pinned"]
    assert whose == {"provider": str(A), "name": "one"}


@pytest.mark.parametrize(
    ("span", "shown"),
    [
        (timedelta(seconds=-3), "0 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(seconds=200), "3 min 20 s"),
        (timedelta(hours=2), "2 h"),
        (timedelta(days=2, hours=5, minutes=7), "2 d 5 h"),
    ],
)
def test_an_age_is_told_in_its_two_largest_units(span: timedelta, shown: str) -> None:
    assert age(span) == shown


def test_every_outcome_has_words_for_a_person() -> None:
    assert set(OUTCOME_WORDS) == set(Outcome)


def test_the_page_says_how_to_reach_the_daemons_own_database(capsys: pytest.CaptureFixture[str]) -> None:
    show(status(), 'psql "postgresql://monitor@/monitor?host=/x"')
    page = capsys.readouterr().out
    assert page.startswith("Every purpose is served.")
    assert page.endswith('database: psql "postgresql://monitor@/monitor?host=/x"\n')


def test_uptimes_are_told_of_purposes_first_and_never_rounded_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert uptime_rows(status(), UPTIMES) == [
        ("chat", "somebody served", "100.00 %", "-", "-", "-"),
        ("chat", f"{A} one", "99.99 %", "-", "-", "-"),
    ]
    nearly = {"24h": Uptime(up=timedelta(seconds=99_999), down=timedelta(seconds=1))}
    [row] = uptime_rows(status(), Uptimes(targets={}, purposes={Purpose.CHAT: nearly}))
    assert row[2] == "99.99 %"
    show(status(), "postgresql://h/d", UPTIMES)
    page = capsys.readouterr().out
    assert page.index("providers") < page.index("up, of the time that is known") < page.index("database: ")
    assert "somebody served" in page
    show(status(), "postgresql://h/d", Uptimes(targets={}, purposes={}))
    assert "of the time" not in capsys.readouterr().out


def test_the_page_asks_for_a_purpose_when_there_are_only_providers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(status(purposes=()), "postgresql://h/d")
    assert "INSERT INTO active_providers" in capsys.readouterr().out


def test_every_line_of_the_page_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    long = provider(
        name="a-name-of-some-length", beliefs=(replace(BELIEF, last_outcome=Outcome.SERVER_ERROR),)
    )
    show(status(providers=(long, provider(B, name="two"))), "postgresql://h/d")
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 100


def test_a_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("t", ("NAME",), [("evil\x1b[2J\u202egnp",)])
    assert "\x1b" not in capsys.readouterr().out
    assert plain("a\nb") == "a b"


def test_marks_are_ascii_where_the_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, ticks in (("utf-8", "✓✗·"), ("ascii", "okFAIL-")):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", stream)
        shown = "".join(mark(good).strip() for good in (True, False, None))
        monkeypatch.undo()
        assert shown == ticks


def test_what_the_operator_mends_is_told_in_one_line_and_nothing_else_is() -> None:
    assert explain(Refused("two\nlines")) == "two lines"
    assert explain(SettingsError("MONITOR_PORT: is no number")) == "MONITOR_PORT: is no number"
    assert explain(ValueError("sk-secret")) is None
