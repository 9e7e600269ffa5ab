from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.domain.catalog import BusyCounters, Catalog
from monitor.domain.configuration import Configuration, network_of, read_configuration, read_url
from monitor.domain.metadata import RowProblem
from monitor.domain.preference import Pointers
from monitor.domain.rows import ActiveRow, ConfigurationRows, KeyRow, PreferenceRow, ServerRow
from monitor.domain.target import (
    Network,
    ProbeSettings,
    ProviderRef,
    Purpose,
    SealedKey,
    Target,
    TargetId,
)
from tests.unit.build import (
    CATALOG,
    KEY_ROW,
    SERVER_ROW,
    active_row,
    api_key,
    entry,
    rows,
    seconds,
    server,
    with_metadata,
)

CHAT, EMBEDDINGS, RERANKING = Purpose.CHAT, Purpose.EMBEDDINGS, Purpose.RERANKING
SECRET = "sk-or-v1-0123456789abcdef"


def read(*some: ServerRow | KeyRow, actives: tuple[ActiveRow, ...] = ()) -> Configuration:
    return read_configuration(rows(*some, actives=actives), CATALOG)


def the_target(*some: ServerRow | KeyRow, actives: tuple[ActiveRow, ...] = ()) -> Target:
    found = read(*some, actives=actives)
    assert found.problems == {}
    (target,) = found.targets.values()
    return target


def the_problem(*some: ServerRow | KeyRow) -> str:
    found = read(*some)
    assert found.targets == {}
    (problem,) = found.problems.values()
    return problem


def preference(position: int, ref: ProviderRef, purpose: str = "chat") -> PreferenceRow:
    return PreferenceRow(purpose=purpose, position=position, provider_type=ref.type, provider_id=ref.id)


# Which targets


def test_a_server_is_a_target_of_each_of_its_purposes() -> None:
    row = replace(SERVER_ROW, purposes=frozenset({RERANKING, CHAT}))
    assert list(read(row).targets) == [
        TargetId(provider=server(1), purpose=CHAT),
        TargetId(provider=server(1), purpose=RERANKING),
    ]


def test_what_serves_or_is_named_as_a_fallback_or_wanted_is_a_target_of_that_purpose() -> None:
    pair = (KEY_ROW, replace(KEY_ROW, id=2), replace(KEY_ROW, id=3))
    found = read_configuration(
        rows(
            *pair,
            actives=(active_row("chat", api_key(1), api_key(2)),),
            preferences=(preference(0, api_key(3)),),
        ),
        CATALOG,
    )
    assert {str(id_) for id_ in found.targets} == {"api_key:1/chat", "api_key:2/chat", "api_key:3/chat"}
    assert found.pointers == {CHAT: Pointers(active=api_key(1), fallback=api_key(2))}
    assert found.preferences == {CHAT: (api_key(3),)}


def test_one_that_serves_no_purpose_has_a_light_only_target() -> None:
    target = the_target(KEY_ROW)
    assert (str(target.id), target.model) == ("api_key:1/none", None)
    assert str(the_target(replace(SERVER_ROW, purposes=frozenset())).id) == "ai_server:1/none"


def test_one_that_is_disabled_is_no_target_and_no_problem() -> None:
    found = read(replace(SERVER_ROW, enabled=False, base_url="nonsense"))
    assert (found.targets, found.problems, found.present) == ({}, {}, frozenset())
    assert found.names == {server(1): "one"}


def test_a_row_with_a_problem_is_present_all_the_same() -> None:
    """It was neither deleted nor disabled: nobody is to be moved because of a typing error."""
    assert read(replace(SERVER_ROW, base_url="nonsense")).present == {server(1)}


# Which model


@pytest.mark.parametrize(
    ("metadata", "model_path", "model", "named"),
    [
        ({"models": {"chat": "by-purpose"}, "model": "by-row"}, "path", "by-purpose", True),
        ({"models": {"embeddings": "other"}, "model": "by-row"}, "path", "by-row", True),
        ({"models": {"embeddings": "other"}}, " path ", "path", True),
        ({}, "path\n", "path", True),
        ({}, "  ", None, False),
        ({}, None, None, False),
        ({"probe": {"model": "tiny"}}, None, None, True),
    ],
)
def test_a_servers_model_is_the_purposes_then_the_rows_then_the_path_then_its_own_list(
    metadata: object, model_path: str | None, model: str | None, named: bool
) -> None:
    target = the_target(replace(SERVER_ROW, metadata=metadata, model_path=model_path))
    assert (target.model, target.model_named) == (model, named)


def test_a_keys_model_is_the_catalogs_at_last_and_then_not_the_operators() -> None:
    actives = (active_row("chat", api_key(1)),)
    target = the_target(KEY_ROW, actives=actives)
    assert (target.model, target.model_named) == ("catalog-chat", False)
    own = the_target(replace(KEY_ROW, metadata={"model": "own"}), actives=actives)
    assert (own.model, own.model_named) == ("own", True)


def test_a_servers_own_list_is_asked_before_the_catalogs_model() -> None:
    described = entry("vllm", models={CHAT: "catalog-chat"})
    catalog = Catalog(entries={(described.type, described.name): described})
    found = read_configuration(rows(replace(SERVER_ROW, model_path=None)), catalog)
    (target,) = found.targets.values()
    assert (target.model, target.model_named) == (None, False)


def test_a_key_that_serves_nothing_is_probed_without_a_model() -> None:
    target = the_target(KEY_ROW)
    assert (target.id.purpose, target.model, target.model_named) == (None, None, False)


def test_a_key_whose_model_nobody_knows_is_a_problem_that_names_the_mend() -> None:
    found = read(KEY_ROW, actives=(active_row("embeddings", api_key(1)),))
    assert found.targets == {}
    assert "metadata.models.embeddings" in found.problems["api_key:1"]


def test_the_probe_may_ask_another_model_than_the_one_that_is_served() -> None:
    target = the_target(with_metadata(SERVER_ROW, {"probe": {"model": "tiny"}}))
    assert (target.model, target.probe.model) == ("path-model", "tiny")


# Overrides


def test_metadata_overrides_the_catalog() -> None:
    target = the_target(
        with_metadata(
            SERVER_ROW,
            {
                "litellm_provider": "own",
                "key_check_path": "/own/key",
                "models_path": "/own/models",
                "busy_counters": "llamacpp_slots",
                "embedding_space": "bge",
                "probe": {"interval_seconds": 60, "max_tokens": 3},
            },
        )
    )
    assert set(target.entry.litellm_providers.values()) == {"own"}
    assert (target.entry.key_check_path, target.entry.models_path) == ("/own/key", "/own/models")
    assert target.entry.busy_counters is BusyCounters.LLAMACPP_SLOTS
    assert target.embedding_space == "bge"
    assert target.probe == ProbeSettings(interval=seconds(60), max_tokens=3)


def test_without_metadata_the_catalog_stands() -> None:
    target = the_target(SERVER_ROW)
    assert set(target.entry.litellm_providers.values()) == {"litellm_vllm"}
    assert (target.entry.key_check_path, target.entry.models_path) == ("/key", "/models")
    assert target.entry.busy_counters is BusyCounters.VLLM_METRICS


def test_a_keys_address_is_the_rows_or_the_catalogs_or_litellms() -> None:
    assert the_target(KEY_ROW).base_url == "https://api.openai.test/v1"
    assert (
        the_target(replace(KEY_ROW, metadata={"base_url": "http://proxy/v1/"})).base_url == "http://proxy/v1"
    )
    assert the_target(replace(KEY_ROW, provider="obscure")).base_url is None


def test_an_ollama_starts_slowly_and_names_are_folded() -> None:
    assert the_target(replace(SERVER_ROW, server_type=" Ollama ")).probe.slow_start


# Fingerprints


def test_key_address_and_model_make_the_fingerprint_and_nothing_else_does() -> None:
    first = the_target(SERVER_ROW)
    changed = (
        replace(SERVER_ROW, api_key=SealedKey(SECRET, encrypted=False)),
        replace(SERVER_ROW, base_url="http://10.0.0.6:8000"),
        replace(SERVER_ROW, model_path="other"),
        with_metadata(SERVER_ROW, {"probe": {"model": "tiny"}}),
        with_metadata(SERVER_ROW, {"litellm_provider": "own"}),
    )
    assert len({first.fingerprint, *(the_target(row).fingerprint for row in changed)}) == 6
    other_kind = replace(changed[-1], server_type="ollama")
    assert the_target(other_kind).fingerprint != the_target(changed[-1]).fingerprint
    same = (
        replace(SERVER_ROW, name="renamed", health_status="down"),
        replace(SERVER_ROW, base_url="http://10.0.0.5:8000"),
        with_metadata(SERVER_ROW, {"probe": {"interval_seconds": 5}, "note": 1}),
    )
    assert {the_target(row).fingerprint for row in same} == {first.fingerprint}


def test_a_key_that_is_sealed_anew_is_the_same_key() -> None:
    first = the_target(replace(KEY_ROW, key=SealedKey("gAAAAone", identity="k1")))
    anew = the_target(replace(KEY_ROW, key=SealedKey("gAAAAtwo", identity="k1")))
    other = the_target(replace(KEY_ROW, key=SealedKey("gAAAAone", identity="k2")))
    assert first.fingerprint == anew.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("row", "subject", "field"),
    [
        (replace(SERVER_ROW, base_url="http://0xa9fea9fe/v1"), "ai_server:1", "base_url"),
        (replace(KEY_ROW, metadata={"base_url": "http://[fd00:ec2::254]"}), "api_key:1", "metadata.base_url"),
    ],
)
def test_a_metadata_address_is_a_named_problem_unless_it_is_allowed(
    row: ServerRow | KeyRow, subject: str, field: str
) -> None:
    found = read_configuration(rows(row), CATALOG)
    assert not found.targets
    assert f": {field} is" in found.problems[subject]
    assert read_configuration(rows(row), CATALOG, allow_metadata_addresses=True).targets


def test_a_targets_words_hold_no_key() -> None:
    target = the_target(replace(SERVER_ROW, api_key=SealedKey(SECRET, encrypted=False)))
    assert SECRET not in repr(target)
    assert SECRET not in f"{target.key}"
    assert SECRET not in target.fingerprint


# Problems


def test_a_bad_row_hides_no_other() -> None:
    bad = replace(SERVER_ROW, id=2, name="two", base_url=None)
    worse = replace(SERVER_ROW, id=3, name="three", metadata=[1])
    found = read(bad, SERVER_ROW, worse, KEY_ROW)
    assert {str(id_) for id_ in found.targets} == {"ai_server:1/chat", "api_key:1/none"}
    assert set(found.problems) == {"ai_server:2", "ai_server:3"}
    assert "ai_server:2 (two): base_url is empty" in found.problems["ai_server:2"]


def test_a_purpose_that_a_row_cannot_serve_hides_none_of_its_others() -> None:
    row = replace(SERVER_ROW, server_type="ollama", purposes=frozenset({CHAT, RERANKING}))
    found = read(row)
    assert {str(id_) for id_ in found.targets} == {"ai_server:1/chat"}
    assert "ollama serves no reranking (it serves chat, embeddings)" in found.problems["ai_server:1"]


@pytest.mark.parametrize("kind", [None, "", "vlm", SECRET])
def test_an_unknown_kind_of_server_names_the_known_ones(kind: str | None) -> None:
    problem = the_problem(replace(SERVER_ROW, server_type=kind))
    assert problem.endswith("server_type is unknown: write one of ollama, vllm")
    assert SECRET not in problem


def test_an_unknown_provider_names_those_that_are_described() -> None:
    problem = the_problem(replace(KEY_ROW, provider="opnai"))
    assert "provider is unknown: write one of openai or another that litellm knows" in problem


def test_a_model_path_of_several_lines_is_a_problem() -> None:
    assert "model_path has a line break" in the_problem(replace(SERVER_ROW, model_path="a\nb"))


@pytest.mark.parametrize(
    "row",
    [
        replace(SERVER_ROW, base_url=SECRET),
        replace(SERVER_ROW, base_url=f"http://user:{SECRET}@host"),
        replace(SERVER_ROW, base_url=f"http://host/?key={SECRET}"),
        replace(SERVER_ROW, base_url=f"http://host:{SECRET}"),
        replace(SERVER_ROW, server_type=SECRET),
        replace(SERVER_ROW, metadata={"busy_counters": SECRET}),
        replace(SERVER_ROW, metadata={"probe": {SECRET: SECRET}}),
        replace(SERVER_ROW, base_url="", api_key=SealedKey(SECRET, encrypted=False)),
        replace(SERVER_ROW, model_path=f"{SECRET}\nx"),
        replace(KEY_ROW, provider="openai", metadata={"base_url": SECRET}),
        replace(KEY_ROW, provider="none", key=SealedKey(SECRET)),
    ],
)
def test_no_problem_repeats_what_could_be_a_key(row: ServerRow | KeyRow) -> None:
    assert SECRET not in the_problem(row)


# Pointers and preferences


def test_pointers_that_name_nothing_are_problems() -> None:
    found = read(
        SERVER_ROW,
        actives=(
            active_row("chat", None),
            active_row("painting", server(1)),
            replace(active_row("embeddings", server(1)), provider_type="robot"),
            replace(
                active_row("reranking", server(1)), fallback_provider_type="robot", fallback_provider_id=3
            ),
        ),
    )
    assert found.pointers == {RERANKING: Pointers(active=server(1), fallback=None)}
    assert set(found.problems) == {
        f"active_providers:{one}" for one in ("chat", "painting", "embeddings", "reranking")
    }
    assert "write chat, embeddings, reranking" in found.problems["active_providers:painting"]


def test_half_a_pointer_names_nothing() -> None:
    """An id without its table, or a table without its id."""
    whole = active_row("chat", server(1))
    for half in (replace(whole, provider_id=None), replace(whole, provider_type=None)):
        found = read(SERVER_ROW, actives=(half,))
        assert found.pointers == {}
        assert "chat names no provider" in found.problems["active_providers:chat"]


def test_pointers_that_name_two_are_no_problem_and_each_serves_all_that_it_is_named_for() -> None:
    second = replace(SERVER_ROW, id=2, name="two", purposes=frozenset())
    actives = (active_row("chat", server(1), server(2)), active_row("embeddings", server(2)))
    found = read(SERVER_ROW, second, actives=actives)
    assert found.problems == {}
    assert found.pointers[CHAT] == Pointers(active=server(1), fallback=server(2))
    assert {str(id_) for id_ in found.targets} == {
        "ai_server:1/chat",
        "ai_server:2/chat",
        "ai_server:2/embeddings",
    }


def test_one_that_is_its_own_fallback_is_a_problem_and_serves_all_the_same() -> None:
    found = read(SERVER_ROW, actives=(active_row("chat", server(1), server(1)),))
    assert found.pointers[CHAT].active == server(1)
    assert "serves it already" in found.problems["active_providers:chat"]


def test_whoever_is_missing_is_named_for_each_purpose_that_wants_it() -> None:
    wanted = (preference(0, server(9)), preference(0, server(9), "embeddings"))
    found = read_configuration(rows(SERVER_ROW, preferences=wanted), CATALOG)
    assert set(found.problems) == {"preference:chat:ai_server:9", "preference:embeddings:ai_server:9"}


def test_preferences_keep_their_order_and_report_who_is_missing_twice_or_nobody() -> None:
    other = replace(SERVER_ROW, id=2, name="two")
    off = replace(SERVER_ROW, id=3, name="three", enabled=False)
    wanted = (
        preference(3, server(3)),
        preference(1, server(1)),
        preference(0, server(2)),
        preference(4, server(9)),
        preference(5, server(1)),
        preference(6, server(1), "painting"),
        replace(preference(7, server(1)), provider_type="robot"),
    )
    found = read_configuration(rows(SERVER_ROW, other, off, preferences=wanted), CATALOG)
    assert found.preferences == {CHAT: (server(2), server(1), server(3), server(9))}
    assert set(found.problems) == {
        "preference:chat:ai_server:3",
        "preference:chat:ai_server:9",
        "preference:chat:ai_server:1",
        "preference:painting:6",
        "preference:chat:7",
    }


def test_the_rows_own_health_status_is_told_as_it_stands() -> None:
    assert read(replace(SERVER_ROW, health_status="down")).server_statuses == {1: "down"}


def test_no_rows_are_no_configuration_and_no_problem() -> None:
    found = read_configuration(ConfigurationRows(servers=(), keys=(), actives=(), preferences=()), CATALOG)
    assert (found.targets, found.pointers, found.problems) == ({}, {}, {})


# Addresses


@pytest.mark.parametrize(
    ("url", "network"),
    [
        (None, Network.OFF_HOST),
        ("", Network.OFF_HOST),
        ("http://[", Network.OFF_HOST),
        ("http://localhost:8000", Network.LOOPBACK),
        ("http://LOCALHOST.:8000", Network.LOOPBACK),
        ("http://a.localhost", Network.LOOPBACK),
        ("http://127.0.0.1", Network.LOOPBACK),
        ("http://127.8.8.8:1", Network.LOOPBACK),
        ("http://0.0.0.0:8000", Network.LOOPBACK),
        ("http://[::1]:8000", Network.LOOPBACK),
        ("http://[::ffff:127.0.0.1]", Network.LOOPBACK),
        ("http://10.1.2.3", Network.LAN),
        ("http://192.168.0.9:8080/v1", Network.LAN),
        ("http://172.31.0.1", Network.LAN),
        ("http://169.254.1.1", Network.LAN),
        ("http://[fe80::1]", Network.LAN),
        ("http://[fd00::1]", Network.LAN),
        ("http://[::ffff:10.0.0.1]", Network.LAN),
        ("http://gpu:8000", Network.LAN),
        ("http://gpu.lan", Network.LAN),
        ("http://gpu.local.", Network.LAN),
        ("http://gpu.home.arpa", Network.LAN),
        ("http://host.docker.internal", Network.LAN),
        ("http://172.32.0.1", Network.OFF_HOST),
        ("http://8.8.8.8", Network.OFF_HOST),
        ("http://[2606:4700::1]", Network.OFF_HOST),
        ("https://api.openai.com/v1", Network.OFF_HOST),
        ("https://localhost.example.com", Network.OFF_HOST),
    ],
)
def test_how_far_away_an_address_is(url: str | None, network: Network) -> None:
    assert network_of(url) is network


@pytest.mark.parametrize(
    ("url", "read_as"),
    [
        ("http://host:8000/", "http://host:8000"),
        (" https://host/v1// ", "https://host/v1"),
        ("HTTP://Host", "HTTP://Host"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("http://host:1", "http://host:1"),
    ],
)
def test_a_usable_address_loses_its_slash_and_nothing_else(url: str, read_as: str) -> None:
    assert read_url(url, "base_url") == read_as


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "   ",
        "host:8000",
        "//host",
        "ftp://host",
        "file:///etc/passwd",
        "http://",
        "http://:8000",
        "http://host:0",
        "http://host:70000",
        "http://host:eight",
        "http://[::1",
        "http://ho st",
        "http://host/a b",
        "http://ho\nst",
        "http://host/\r\nX-Key: 1",
        "http://ho\x00st",
        "http://\ud800",
        "http://user@host",
        "http://:word@host",
        "http://host?key=1",
        "http://host/#part",
    ],
)
def test_an_address_that_is_none_is_refused_by_the_name_of_its_field(url: str | None) -> None:
    with pytest.raises(RowProblem, match=r"^metadata\.base_url "):
        read_url(url, "metadata.base_url")


# Anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ("model", "models", "base_url", "litellm_provider", "busy_counters", "embedding_space", "probe")
)
TEXTS = st.none() | st.text(max_size=12) | st.sampled_from(("vllm", "openai", "http://h", SECRET))
SERVERS = st.builds(
    ServerRow,
    id=st.integers(2, 9),
    name=st.text(max_size=5),
    server_type=TEXTS,
    base_url=TEXTS,
    api_key=st.none() | st.just(SealedKey(SECRET)),
    model_path=TEXTS.filter(lambda one: one != SECRET),
    enabled=st.booleans(),
    purposes=st.frozensets(st.sampled_from(Purpose)),
    health_status=TEXTS,
    metadata=st.dictionaries(FIELDS, JSON, max_size=3) | JSON,
)
ACTIVES = st.builds(
    ActiveRow,
    purpose=st.sampled_from((*Purpose, "x", "")),
    provider_type=st.sampled_from((None, "ai_server", "api_key", "", "robot")),
    provider_id=st.none() | st.integers(-1, 9),
    fallback_provider_type=st.sampled_from((None, "ai_server", "api_key", "", "robot")),
    fallback_provider_id=st.none() | st.integers(-1, 9),
)


@settings(max_examples=70, deadline=None)
@given(st.lists(SERVERS, max_size=3, unique_by=lambda row: row.id), st.lists(ACTIVES, max_size=3))
def test_whatever_stands_in_the_rows_the_good_one_is_probed_and_every_bad_one_is_told(
    some: list[ServerRow], actives: list[ActiveRow]
) -> None:
    found = read(SERVER_ROW, *some, actives=tuple(actives))
    assert TargetId(provider=server(1), purpose=CHAT) in found.targets
    for row in some:
        has_target = any(id_.provider == row.ref for id_ in found.targets)
        assert (has_target or str(row.ref) in found.problems) == row.enabled
    for problem in found.problems.values():
        assert problem
        assert SECRET not in problem
