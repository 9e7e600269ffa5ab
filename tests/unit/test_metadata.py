from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.domain.catalog import BusyCounters
from monitor.domain.metadata import PROBE_KEYS, Metadata, RowProblem, read_metadata
from monitor.domain.target import ProbeSettings, Purpose

SECRET = "sk-or-v1-0123456789abcdef"
TEXTS = ("model", "base_url", "litellm_provider", "key_check_path", "models_path", "embedding_space")


def problem(raw: object) -> str:
    with pytest.raises(RowProblem) as caught:
        read_metadata(raw)
    return str(caught.value)


def test_nothing_said_is_all_defaults() -> None:
    assert read_metadata(None) == read_metadata({}) == Metadata()


def test_what_is_not_ours_is_left_alone() -> None:
    assert read_metadata({"colour": [1], "team": {"a": None}, "models": ["a", "b"]}) == Metadata()


def test_every_field_is_read() -> None:
    found = read_metadata(
        {
            "model": " m ",
            "models": {"chat": "c", "embeddings": "e", "other": 7},
            "base_url": "http://x",
            "litellm_provider": "p",
            "key_check_path": "/k",
            "models_path": "/m",
            "busy_counters": "llamacpp_slots",
            "embedding_space": "s",
            "probe": {
                "interval_seconds": 60,
                "light_interval_seconds": 5.5,
                "timeout_seconds": 90,
                "model": "tiny",
                "max_tokens": 16,
                "daily_cost_usd": 0,
            },
        }
    )
    assert found == Metadata(
        model="m",
        models={Purpose.CHAT: "c", Purpose.EMBEDDINGS: "e"},
        base_url="http://x",
        litellm_provider="p",
        key_check_path="/k",
        models_path="/m",
        busy_counters=BusyCounters.LLAMACPP_SLOTS,
        embedding_space="s",
        probe=ProbeSettings(
            interval=timedelta(seconds=60),
            light_interval=timedelta(seconds=5.5),
            timeout=timedelta(seconds=90),
            model="tiny",
            max_tokens=16,
            daily_cost_usd=0.0,
        ),
    )


def test_null_is_as_good_as_absent() -> None:
    raw = dict.fromkeys((*TEXTS, "models", "busy_counters", "probe"))
    assert read_metadata(raw) == Metadata()
    assert read_metadata({"probe": dict.fromkeys(PROBE_KEYS)}) == Metadata()


@pytest.mark.parametrize("raw", [[], "text", 3, True, 1.5, '{"model": "m"}'])
def test_metadata_has_to_be_an_object(raw: object) -> None:
    assert "metadata is" in problem(raw)


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize(
    "value", ["", "  ", 7, ["m"], {"m": 1}, True, "a\nb", "a\x00b", "\ud800", "a\x1b[2J"]
)
def test_a_text_has_to_be_a_printable_one(field: str, value: object) -> None:
    assert f"metadata.{field} " in problem({field: value})


@pytest.mark.parametrize("field", ["key_check_path", "models_path"])
@pytest.mark.parametrize("value", ["k", "@elsewhere/k", "http://elsewhere/k", ".elsewhere/k", ":1/k"])
def test_a_path_begins_with_a_slash_so_that_a_key_travels_to_no_other_host(field: str, value: str) -> None:
    assert f"metadata.{field} has to begin with /" in problem({field: value})


@pytest.mark.parametrize("value", ["", 7, [], {}, False])
def test_the_model_of_a_purpose_has_to_be_a_text(value: object) -> None:
    assert "metadata.models.chat " in problem({"models": {"chat": value}})
    assert "metadata.probe.model " in problem({"probe": {"model": value}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("interval_seconds", 0.5),
        ("interval_seconds", 86_401),
        ("interval_seconds", "30"),
        ("interval_seconds", True),
        ("interval_seconds", float("nan")),
        ("interval_seconds", float("inf")),
        ("light_interval_seconds", -1),
        ("timeout_seconds", 0),
        ("timeout_seconds", 10**400),
        ("max_tokens", 0),
        ("max_tokens", 4097),
        ("max_tokens", 1.5),
        ("daily_cost_usd", -0.01),
        ("daily_cost_usd", [1]),
    ],
)
def test_a_number_out_of_its_bounds_is_named_with_them(key: str, value: object) -> None:
    message = problem({"probe": {key: value}})
    assert f"metadata.probe.{key} " in message
    assert "number from " in message


@pytest.mark.parametrize(
    ("key", "least", "most", "step"),
    [
        ("interval_seconds", 1, 86_400, 0.01),
        ("light_interval_seconds", 1, 86_400, 0.01),
        ("timeout_seconds", 0.1, 600, 0.01),
        ("max_tokens", 1, 4096, 1),
        ("daily_cost_usd", 0, 10_000, 0.01),
    ],
)
def test_a_number_may_be_its_bound_and_nothing_beyond(
    key: str, least: float, most: float, step: float
) -> None:
    for good in (least, most):
        assert read_metadata({"probe": {key: good}}) != Metadata()
    for bad in (least - step, most + step):
        assert f"from {least:g} to {most:g}" in problem({"probe": {key: bad}})


def test_what_surrounds_a_text_is_taken_off_its_line_end_too() -> None:
    assert read_metadata({"model": "\tm\n"}).model == "m"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"a": 1}, "an object"),
        ({}, "an object that is empty"),
        (["a"], "a list"),
        ([], "a list that is empty"),
        ("", "a text that is empty"),
        (" ", "a text"),
        (True, "a boolean"),
        (7, "a number"),
        (1.5, "a number"),
    ],
)
def test_a_field_of_the_wrong_form_is_told_what_it_is(value: object, kind: str) -> None:
    assert f"metadata.model is {kind}: " in problem({"model": value})


def test_whole_tokens_may_be_written_with_a_point() -> None:
    assert read_metadata({"probe": {"max_tokens": 8.0}}).probe.max_tokens == 8


def test_the_probe_has_to_be_an_object() -> None:
    assert "metadata.probe is a list" in problem({"probe": [1]})


def test_an_unknown_setting_of_the_probe_names_the_nearest_known_one() -> None:
    assert "did you mean interval_seconds?" in problem({"probe": {"interval_secs": 5}})
    assert "known are " in problem({"probe": {"zzz": 5}})
    assert "known are " in problem({"probe": {"interval_seconds": 5, "zzz": 5}})


def test_unknown_busy_counters_name_the_known_ones() -> None:
    assert "vllm_metrics, llamacpp_slots" in problem({"busy_counters": "prometheus"})


@pytest.mark.parametrize(
    "raw",
    [
        {"busy_counters": SECRET},
        {"probe": {SECRET: 1}},
        {"probe": {"model": [SECRET]}},
        {"probe": {"interval_seconds": SECRET}},
        {"probe": SECRET},
        {"model": {"key": SECRET}},
        {"models": {"chat": [SECRET]}},
        {"base_url": [SECRET]},
        SECRET,
        [SECRET],
    ],
)
def test_a_key_in_the_wrong_field_is_never_repeated(raw: object) -> None:
    assert SECRET not in problem(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
OURS = st.sampled_from((*TEXTS, "models", "busy_counters", "probe"))
PROBES = st.dictionaries(st.sampled_from((*PROBE_KEYS, "max_token")), JSON, max_size=4)


@settings(max_examples=70, deadline=None)
@given(JSON | st.dictionaries(OURS, JSON | PROBES, max_size=6))
def test_any_json_is_metadata_or_a_problem_in_one_line(raw: object) -> None:
    words, found = outcome_of(raw)
    assert (words is None) != (found is None)
    if words is not None:
        assert words.isprintable()
        assert "metadata" in words
        assert len(words) < 300
    if found is not None:
        assert raw is None or isinstance(raw, dict)
        "".join(("", *found.models.values(), found.model or "")).encode()


def outcome_of(raw: object) -> tuple[str | None, Metadata | None]:
    try:
        return None, read_metadata(raw)
    except RowProblem as problem:
        return str(problem), None


def test_aliases_map_names_to_names() -> None:
    assert read_metadata({"model_aliases": {"gpt-4o": " llama "}}).model_aliases == {"gpt-4o": "llama"}
    assert read_metadata({"model_aliases": {"gpt-4o": "llama\n"}}).model_aliases == {"gpt-4o": "llama"}
    assert "write an object" in problem({"model_aliases": ["gpt-4o"]})
    wrong: list[object] = ["", " ", None, 3, {}, "a\nb"]
    for value in wrong:
        told = problem({"model_aliases": {"gpt-4o": "llama", SECRET: value}})
        assert "metadata.model_aliases" in told
        assert SECRET not in told
