"""What happened to a purpose, line by line: moves, strandings, and what operators did."""

from typing import Any

from monitor.domain.acts import Act, ActRecord
from monitor.domain.history import Line, tell_history
from monitor.domain.journal import Entry, EntryKind, Facts, Standing
from monitor.domain.outcome import ResultId
from monitor.domain.provider import ProviderRef
from monitor.domain.timeline import Turn
from tests.unit.build import A, B, C, at

CHANGE, STRANDED, RELIEVED = EntryKind.CHANGE, EntryKind.STRANDED, EntryKind.RELIEVED

Told = tuple[Turn, list[dict[str, Any]]]


def name(ref: ProviderRef | None) -> str:
    return {None: "nobody", A: "primary", B: "fallback", C: "third"}[ref]


def move(
    when: float, rule: str, left: ProviderRef | None, onto: ProviderRef | None, reason: str = ""
) -> Turn:
    return Turn(at=at(when), rule=rule, left=left, onto=onto, reason=reason)


def evidence(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "provider_type": "ai_server",
        "provider_id": 1,
        "started_at": at(number).isoformat(),
        "outcome": "server_error",
    } | changes


def entry(when: float, **changes: Any) -> Entry:
    known: dict[str, Any] = {"active": A, "preference": (A, B), "deciding_since": at(0)}
    return Entry(at=at(when), kind=CHANGE, facts=Facts(**(known | changes)))


def changes(*entries: Entry) -> list[tuple[float, str, str]]:
    """Second, word and text of each line."""
    lines = tell_history([], entries, name)
    return [((line.at - at(0)).total_seconds(), line.what, line.text) for line in lines]


def test_a_move_is_told_with_its_reason_and_the_results_it_rests_on() -> None:
    turn = move(30, "fail_over", A, B, "primary is down")
    (line,) = tell_history([(turn, [evidence(10), evidence(20, detail="HTTP 500", provider_id=2)])], [], name)
    assert line == Line(
        at=at(30),
        what="fail_over",
        text="fail_over: from primary to fallback: primary is down",
        served=B,
        results=("12:00:10 primary server_error", "12:00:20 fallback server_error (HTTP 500)"),
        result_ids=("10", "20"),
    )


def test_what_applications_reported_is_told_beside_the_results_and_has_no_id() -> None:
    reports = {
        "kind": "reports",
        "provider_type": "ai_server",
        "provider_id": 1,
        "first_at": at(15).isoformat(),
        "last_at": at(16).isoformat(),
        "count": 5,
        "failures": 5,
        "outcomes": {"timeout": 5},
        "sources": ["app@host:1"],
    }
    (line,) = tell_history([(move(30, "fail_over", A, B), [evidence(10), reports])], [], name)
    assert line.results == (
        "12:00:10 primary server_error",
        "12:00:15 primary reported: 5 of 5 requests failed (timeout 5; 1 client)",
    )
    assert line.result_ids == ("10",)


def test_an_operators_choice_is_told_as_such() -> None:
    moves = [move(10, "adopted", None, A), move(20, "operator", A, B), move(30, "fail_back", B, A, "well")]
    lines = tell_history([(turn, []) for turn in moves], [], name)
    assert [line.text for line in lines] == [
        "an operator chose primary",
        "an operator chose fallback over primary",
        "fail_back: from fallback to primary: well",
    ]
    assert [line.served for line in lines] == [A, B, A]


def test_the_first_choice_of_a_purpose_is_told_by_whom_it_chose() -> None:
    pair = {"provider": str(A), "fallback": str(B)}
    first = ActRecord(at=at(1), act=Act.CHOOSE, provider=None, by="ops", detail=pair | {"first": True})
    later = ActRecord(at=at(2), act=Act.CHOOSE, provider=None, by="ops", detail=pair)
    lines = tell_history([], [], name, [first, later])
    assert [(line.what, line.text) for line in lines] == [
        ("operator", "an operator chose primary (ops)"),
        ("fallback", "an operator made fallback the fallback (ops)"),
    ]


def test_a_promotion_and_a_pin_are_told_as_an_operators_too() -> None:
    moves = [move(10, "promote", A, B, "new hardware"), move(20, "pin", B, A)]
    lines = tell_history([(turn, []) for turn in moves], [], name)
    assert [line.text for line in lines] == [
        "an operator promoted fallback over primary (new hardware)",
        "an operator pinned primary over fallback",
    ]


def test_a_stranding_lasts_until_the_next_move_or_relief_after_it() -> None:
    entries = [
        Entry(at=at(20), kind=STRANDED, reason="all are down", evidence=(ResultId("x"), ResultId("y"))),
        Entry(at=at(25), kind=EntryKind.AWAY),
        Entry(at=at(60), kind=RELIEVED),
        Entry(at=at(70), kind=STRANDED, reason="again"),
        Entry(at=at(95), kind=STRANDED, reason="still"),
    ]
    moves: list[Told] = [(move(when, "operator", A, B), []) for when in (95, 20, 10, 80)]
    lines = [line for line in tell_history(moves, entries, name) if line.what == "stranded"]
    assert lines == [
        Line(
            at=at(20),
            until=at(60),
            what="stranded",
            text="nobody is fit to serve: all are down",
            result_ids=("x", "y"),
        ),
        Line(at=at(70), until=at(80), what="stranded", text="nobody is fit to serve: again"),
        Line(at=at(95), what="stranded", text="nobody is fit to serve: still"),
    ]


def test_everything_stands_in_the_order_of_time() -> None:
    moves: list[Told] = [(move(40, "fail_over", A, B), []), (move(10, "operator", None, A), [])]
    entries = [entry(5), Entry(at=at(30), kind=STRANDED), entry(20, paused=True)]
    lines = tell_history(moves, entries, name)
    assert [line.what for line in lines] == ["operator", "paused", "stranded", "fail_over"]


def test_the_first_that_served_is_told_only_where_the_applications_row_named_it() -> None:
    begun = entry(9, rule="adopted", since=at(3))
    (line,) = tell_history([], [begun, entry(12, rule="adopted", since=at(3))], name)
    assert line == Line(
        at=at(3), what="adopted", text="primary serves, as the application's row names it", served=A
    )
    assert changes(entry(9, rule="fail_over", since=at(3))) == []
    assert changes(entry(9, rule="adopted")) == []
    assert changes(entry(9, rule="adopted", since=at(3), active=None)) == []
    assert changes(entry(9), begun) == []


def test_a_purpose_without_a_row_is_deleted_once_and_has_no_order() -> None:
    deleted = entry(20, active=None, preference=())
    assert changes(entry(10), deleted, entry(30, active=None, preference=(), paused=True)) == [
        (20, "deleted", "the purpose's row was deleted")
    ]
    assert changes(deleted, entry(30)) == []
    assert changes(entry(10), entry(20, preference=(B, A))) == [
        (20, "order", "the operator's order is now fallback, primary")
    ]


def test_what_stood_before_the_row_was_deleted_is_no_news_when_it_is_written_again() -> None:
    held = {"paused": True, "pinned": B, "standings": (Standing(ref=B, gone_since=at(3)),)}
    deleted = entry(20, active=None, preference=())
    assert changes(entry(10, **held), deleted, entry(30, **held)) == [
        (20, "deleted", "the purpose's row was deleted")
    ]
    assert [
        one[:2] for one in changes(entry(10, **held), deleted, entry(30, standings=(Standing(ref=B),)))
    ] == [
        (20, "deleted"),
        (30, "resumed"),
        (30, "unpinned"),
        (30, "back"),
    ]


def test_a_pause_is_told_with_its_end() -> None:
    assert changes(entry(10), entry(20, paused=True), entry(30, paused=True), entry(40)) == [
        (20, "paused", "an operator paused it"),
        (40, "resumed", "an operator resumed it"),
    ]


def test_a_pin_is_told_with_its_end_and_each_time_that_it_changes() -> None:
    assert changes(
        entry(10),
        entry(20, pinned=B),
        entry(30, pinned=B, pinned_until=at(86_400)),
        entry(40, pinned=A, pinned_until=at(86_400)),
        entry(50, pinned=A, pinned_until=at(86_400)),
        entry(60),
    ) == [
        (20, "pinned", "an operator pinned fallback"),
        (30, "pinned", "an operator pinned fallback until 2026-03-02 12:00:00"),
        (40, "pinned", "an operator pinned primary until 2026-03-02 12:00:00"),
        (60, "unpinned", "the pin was taken off"),
    ]


def test_a_candidate_that_goes_and_comes_back_is_told_and_a_new_one_is_not() -> None:
    there, gone = Standing(ref=B), Standing(ref=B, gone_since=at(15))
    assert changes(
        entry(10, standings=(there,)),
        entry(20, standings=(gone, Standing(ref=C, gone_since=at(15)))),
        entry(30, standings=(Standing(ref=B, gone_since=at(25)),)),
        entry(40, standings=(there,)),
        entry(50, standings=(there,)),
    ) == [(20, "gone", "fallback was deleted or disabled"), (40, "back", "fallback is there again")]
