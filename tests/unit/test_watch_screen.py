"""The status on one screen: it always fits, and leaves out the well ones first."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.cells import cell_len

from monitor.cli.layout import draws, fit, widths
from monitor.cli.status_report import as_json
from monitor.cli.watch import without_figures
from monitor.cli.watch_screen import Picture, compose
from monitor.domain.application_status import ApplicationStatus
from monitor.domain.eligibility import Block
from monitor.domain.provider import ProviderRef, ProviderType
from monitor.storage.problems import Problem
from monitor.storage.status import Belief, LastResult, ProviderStatus, Status, TransitionRow
from tests.unit.build import A, B, at, seconds
from tests.unit.test_cli_report import BELIEF, PURPOSE, provider, status

DOWN = replace(
    BELIEF,
    status=ApplicationStatus.DOWN,
    blocks=(Block.AUTH,),
    result=LastResult(detail="HTTP 401: unauthorized"),
)
DEGRADED = replace(BELIEF, status=ApplicationStatus.DEGRADED)


def server(number: int, belief: Belief = BELIEF, **changes: object) -> ProviderStatus:
    ref = ProviderRef(type=ProviderType.AI_SERVER, id=number)
    return provider(ref, name=f"gpu-{number}", beliefs=(belief,), **changes)


def move(number: int) -> TransitionRow:
    return TransitionRow(
        purpose="chat",
        generation=number,
        rule="fail_over",
        left=A,
        left_name="one",
        onto=B,
        onto_name="two",
        reason=f"reason {number}: ai_server:1 is down: server_error",
        failure_began_at=at(0),
        decided_at=at(number),
    )


def screen(
    found: Status, width: int = 80, height: int = 24, *, drawn: bool = True, **more: object
) -> list[str]:
    picture = Picture(status=found, age=timedelta(0), ends="q ends this")
    lines = compose(replace(picture, **more), width, height, drawn=drawn)  # type: ignore[arg-type]
    return [line.plain for line in lines]


def large(well: int = 58, down: int = 2) -> Status:
    found = [server(number) for number in range(1, well + 1)]
    found += [server(number, DOWN) for number in range(well + 1, well + down + 1)]
    return status(providers=tuple(found), transitions=tuple(move(number) for number in range(9, 0, -1)))


def rows(lines: Sequence[str], start: str) -> list[str]:
    return [line for line in lines if line.startswith(start)]


def providers(lines: Sequence[str]) -> list[str]:
    """The rows below the providers' headers."""
    head = lines.index(rows(lines, "PROVIDER")[0])
    return rows(lines[head:], "ai_server")


def test_of_sixty_providers_the_well_ones_are_left_out_and_counted() -> None:
    lines = screen(large())
    assert len(lines) == 24
    assert [row.split()[0] for row in providers(lines)][:3] == [
        "ai_server:59",
        "ai_server:60",
        "ai_server:1",  # it serves
    ]
    shown = len(providers(lines))
    assert f"and {60 - shown} healthy" in lines
    assert "reason 9" in "".join(lines)


def test_of_sixty_that_are_down_those_left_out_are_counted_and_moves_are_still_seen() -> None:
    lines = screen(large(well=1, down=59))
    shown = len(providers(lines))
    assert f"and {59 - shown} down, 1 healthy" in lines
    assert "reason 9" in "".join(lines)
    assert "TO LOOK AT" in lines


def test_a_few_providers_are_all_shown_with_every_move_that_fits() -> None:
    lines = screen(large(well=2, down=0))
    assert len(providers(lines)) == 2
    assert not rows(lines, "and ")
    assert len([line for line in lines if "fail_over" in line]) == 9


@pytest.mark.parametrize("drawn", [True, False])
def test_nothing_is_ever_wider_or_higher_than_the_terminal(*, drawn: bool) -> None:
    wide = server(7, DOWN)
    wide = replace(wide, name="模型服务器-" * 6)
    found = large(well=30, down=3)
    problems = tuple(Problem(subject=f"x{n}", message="a bad row " * 12, since=at(0)) for n in range(6))
    silent = replace(found.daemons[0], silent=seconds(600))
    many = replace(found, providers=(wide, *found.providers), problems=problems, daemons=(silent,))
    small = (status(providers=()), status(purposes=()), found, many)
    for one in small:
        for width in (1, 8, 20, 40, 79, 80, 132, 400):
            for height in (2, 5, 8, 13, 24, 40, 200):
                lines = screen(
                    one, width, height, drawn=drawn, away="the database is gone" if one is many else None
                )
                assert len(lines) <= height
                assert max(map(cell_len, lines)) <= width
                if not drawn:
                    assert all(line.isascii() for line in lines)


def test_a_narrow_screen_keeps_the_health_and_leaves_out_what_comes_last() -> None:
    lines = screen(large(well=3, down=1), width=44)
    head = next(line for line in lines if line.startswith("PROVIDER"))
    assert "HEALTH" in head
    assert "LATENCY" not in head
    assert "down" in providers(lines)[0]


def test_bad_news_comes_first_and_purposes_before_providers() -> None:
    found = status(providers=(server(1, DOWN), server(2)))
    lines = screen(found)
    assert lines[1].startswith("BAD NEWS: chat is down: ai_server:1 (gpu-1)")
    order = [
        lines.index(rows(lines, start)[0]) for start in ("BAD NEWS", "PURPOSE", "TO LOOK AT", "PROVIDER")
    ]
    assert order == sorted(order)
    assert any("blocked: auth; HTTP 401" in line for line in lines)
    assert lines[-1] == "q ends this"


def test_many_pieces_of_bad_news_are_counted() -> None:
    several = tuple(replace(PURPOSE, purpose=f"p{number}", active=None) for number in range(9))
    lines = screen(status(purposes=several), height=40)
    assert len(rows(lines, "BAD NEWS")) == 4
    assert lines[4] == "BAD NEWS: and 6 more"


def test_a_database_that_is_away_is_told_with_the_age_of_what_is_shown() -> None:
    lines = screen(status(), away="it does not answer", age=timedelta(seconds=75))
    assert lines[1] == "DATABASE AWAY: this is 1 min 15 s old. it does not answer"
    assert lines[2] == "Then: every purpose is served."
    assert rows(lines, "chat")
    slow = screen(status(), age=timedelta(seconds=7))
    assert slow[1] == "The database is slow to answer: this is 7 s old."
    assert screen(status(), age=timedelta(seconds=5))[1] == "Every purpose is served."


def test_an_empty_installation_is_told_how_to_begin() -> None:
    lines = screen(status(providers=(), purposes=()))
    assert any("run --adopt-env" in line for line in lines)


def test_those_that_serve_come_first_among_equals() -> None:
    lines = screen(status(providers=(server(3), server(1), server(2, DEGRADED))))
    assert [row.split()[0] for row in providers(lines)] == [
        "ai_server:2",
        "ai_server:1",
        "ai_server:3",
    ]


def test_times_and_figures_are_no_change_and_all_else_is() -> None:
    def told(found: Status) -> object:
        return without_figures(as_json(found, ""))

    before = status()
    later = replace(
        before,
        as_of=at(150),
        daemons=(replace(before.daemons[0], silent=seconds(3)),),
        providers=(
            provider(
                beliefs=(
                    replace(
                        BELIEF, last_started_at=at(95), result=BELIEF.result._replace(latency_seconds=9.0)
                    ),
                )
            ),
            before.providers[1],
        ),
    )
    assert told(before) == told(later)
    for changed in (
        replace(before, providers=(provider(beliefs=(DOWN,)), before.providers[1])),
        replace(before, daemons=(replace(before.daemons[0], silent=seconds(30)),)),
        replace(before, as_of=at(200)),  # what is believed has become too old
        replace(before, purposes=(replace(PURPOSE, paused=True),)),
        replace(before, transitions=(move(1),)),
    ):
        assert told(before) != told(changed)


def test_columns_give_way_from_the_widest_on() -> None:
    assert widths(("A", "B"), [("x" * 30, "y" * 10)], 80) == [30, 10]
    assert widths(("A", "B"), [("x" * 30, "y" * 10)], 30) == [18, 10]
    assert widths(("A", "B"), [("x" * 30, "y" * 30)], 30) == [14, 14]
    assert widths(("A", "B", "C"), [("x" * 30, "y" * 30, "z" * 30)], 24) == [11, 11]
    assert widths(("A", "B"), [("x" * 30, "y" * 12)], 30, firm=(1,)) == [16, 12]


def test_text_is_cut_with_a_sign_and_wide_characters_count_twice() -> None:
    assert fit("abc", 5) == "abc  "
    assert fit("abc", 5, right=True) == "  abc"
    assert fit("abcdef", 4) == "abc…"
    assert fit("abcdef", 4, drawn=False) == "abc~"
    assert cell_len(fit("模型服务器", 6)) == 6
    assert fit("né", 3, drawn=False) == "n? "
    assert fit("abc", 0) == ""


def test_a_locale_that_is_said_to_be_c_is_drawn_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", type("Stream", (), {"encoding": "utf-8"}))
    for variables, drawn in (
        ({}, True),
        ({"LANG": "en_US.UTF-8"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, False),
        ({"LANG": "C", "LC_ALL": "C.UTF-8"}, True),
    ):
        for name in ("LANG", "LC_ALL", "LC_CTYPE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert draws() is drawn
    monkeypatch.setattr("sys.stdout", type("Stream", (), {"encoding": "latin-1"}))
    assert not draws()
