"""The data file about providers: complete, or refused with the entry's and the field's name."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from monitor.domain.catalog import Catalog, CatalogEntry, KeyScheme
from monitor.domain.provider import ProviderType, Purpose
from monitor.probing.catalog import CatalogError, load_catalog

SERVERS = ("vllm", "ollama", "llamacpp", "openai-compatible")
PROVIDERS = (
    *("openrouter", "openai", "anthropic", "google", "cohere", "together", "fireworks"),
    *("groq", "mistral", "deepseek", "xai"),
)
CATALOG = load_catalog()


def entry_of(type_: ProviderType, name: str) -> CatalogEntry:
    entry = CATALOG.find(type_, name)
    assert entry is not None
    return entry


def prices() -> dict[str, Any]:
    spec = find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).with_name("model_prices_and_context_window_backup.json")
    prices: dict[str, Any] = json.loads(path.read_text())
    return prices


def test_every_promised_name_is_there_whatever_its_case() -> None:
    for name in SERVERS:
        assert entry_of(ProviderType.AI_SERVER, f" {name.upper()} ").name == name
    for name in PROVIDERS:
        entry = entry_of(ProviderType.API_KEY, name.title())
        assert entry.needs_key
        assert entry.key_check_path
        assert entry.models[Purpose.CHAT]
    assert CATALOG.find(ProviderType.AI_SERVER, "openrouter") is None
    assert CATALOG.find(ProviderType.API_KEY, "no-such-thing") is None


def test_litellms_names_of_a_provider_are_the_same_entry() -> None:
    for alias, name in (("gemini", "google"), ("together_ai", "together"), ("fireworks_ai", "fireworks")):
        assert entry_of(ProviderType.API_KEY, alias) is entry_of(ProviderType.API_KEY, name)


def test_a_provider_litellm_alone_knows_wants_its_model_named() -> None:
    entry = entry_of(ProviderType.API_KEY, "perplexity")
    assert entry.generic
    assert entry.models == {}
    assert entry.call_base(Purpose.CHAT, None) is None


def test_every_default_model_of_a_provider_has_a_price() -> None:
    known = prices()
    for name in PROVIDERS:
        entry = entry_of(ProviderType.API_KEY, name)
        for purpose, model in entry.models.items():
            full = f"{entry.litellm_providers[purpose]}/{model}"
            if name != "openrouter":  # its prices are told by itself
                assert any(one in (full, model) or one.endswith(f"/{model}") for one in known), full


@pytest.mark.parametrize("written", ["", "/", "/v1", "/v1/", "/v1//", "//v1"])
@pytest.mark.parametrize("name", SERVERS)
def test_a_servers_address_counts_with_or_without_its_suffix(name: str, written: str) -> None:
    entry = entry_of(ProviderType.AI_SERVER, name)
    assert entry.root(f"http://10.0.0.7:8000{written}") == "http://10.0.0.7:8000"
    assert entry.call_base(Purpose.CHAT, f"http://10.0.0.7:8000{written}") == "http://10.0.0.7:8000/v1"


def test_a_route_that_wants_its_whole_path_gets_it() -> None:
    cohere = entry_of(ProviderType.API_KEY, "cohere")
    assert cohere.call_base(Purpose.CHAT, None) == "https://api.cohere.com/v2/chat"
    assert cohere.call_base(Purpose.EMBEDDINGS, "http://localhost/") == "http://localhost/v2/embed"
    assert cohere.call_base(Purpose.RERANKING, None) == "https://api.cohere.com"


def load(tmp_path: Path, text: str) -> Catalog:
    path = tmp_path / "catalog.toml"
    path.write_text(text)
    return load_catalog(path)


def test_an_entry_that_says_no_more_is_open_quick_and_streamed(tmp_path: Path) -> None:
    entry = load(tmp_path, '[servers.a]\nlitellm = { chat = "openai" }').find(ProviderType.AI_SERVER, "a")
    assert entry is not None
    assert (entry.needs_key, entry.slow_start, entry.generic) == (False, False, False)
    assert (entry.streamed, entry.stream_usage, entry.key_scheme) == (True, True, KeyScheme.BEARER)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[servers.a]\nlitellm = {}", "servers.a: litellm"),
        ('[servers.a]\nlitellm = { talk = "openai" }', "servers.a: litellm: knows only chat"),
        ("[servers.a]\nlitellm = { chat = 7 }", "servers.a: litellm.chat"),
        ('[servers.a]\nlitellm = { chat = "openai" }\nmodel_path = "/x"', "servers.a: model_path: unknown"),
        ('[servers.a]\nlitellm = { chat = "openai" }\nneeds_key = "yes"', "servers.a: needs_key"),
        (
            '[servers.a]\nlitellm = { chat = "openai" }\nbusy_counters = "top"',
            "servers.a: busy_counters: 'top'",
        ),
        ('[providers.a]\nlitellm = { chat = "openai" }', "providers.a: api_base: is missing"),
        ('[providers.a]\nlitellm = { chat = "a" }\napi_base = "http://a/"', "providers.a: api_base: ends"),
        (
            '[providers.a]\nlitellm = { chat = "a" }\napi_base = "http://a"\naliases = "b"',
            "providers.a: aliases",
        ),
        ("[generic]\nproviders = [1]", "generic: providers"),
        ("[server.a]", "'server'"),
        ("[[", "catalog: "),
    ],
)
def test_a_wrong_entry_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)


def test_a_name_of_two_entries_is_refused(tmp_path: Path) -> None:
    entry = 'litellm = { chat = "a" }\napi_base = "http://a"\n'
    with pytest.raises(CatalogError, match="twice"):
        load(tmp_path, f'[providers.a]\n{entry}[providers.b]\n{entry}aliases = ["a"]')


@pytest.mark.parametrize(
    ("type_", "name", "model", "base_url", "called"),
    [
        (ProviderType.AI_SERVER, "vllm", "llama", "http://x", "hosted_vllm/llama"),
        # litellm would take the first word off and ask for `gpt-oss-20b`.
        (ProviderType.AI_SERVER, "llamacpp", "openai/gpt-oss-20b", "http://x", "openai/openai/gpt-oss-20b"),
        (ProviderType.API_KEY, "openai", "gpt-4o", None, "openai/gpt-4o"),
        (ProviderType.API_KEY, "openai", "openai/gpt-4o", None, "openai/gpt-4o"),
        (ProviderType.API_KEY, "openai", "openai/gpt-4o", "http://a.proxy", "openai/openai/gpt-4o"),
        (ProviderType.API_KEY, "groq", "openai/gpt-oss-20b", None, "groq/openai/gpt-oss-20b"),
        (ProviderType.API_KEY, "groq", "groq/llama", None, "groq/llama"),
        (ProviderType.API_KEY, "openrouter", "meta/llama", None, "openrouter/meta/llama"),
        (ProviderType.API_KEY, "openrouter", "openrouter/meta/llama", None, "openrouter/meta/llama"),
        (ProviderType.API_KEY, "openrouter", "openrouter/auto", None, "openrouter/openrouter/auto"),
        (ProviderType.API_KEY, "openrouter", "auto", None, "openrouter/openrouter/auto"),
        (ProviderType.API_KEY, "google", "gemini/gemini-2.5-flash", None, "gemini/gemini-2.5-flash"),
        (ProviderType.API_KEY, "perplexity", "sonar", None, "perplexity/sonar"),
    ],
)
def test_a_model_is_called_with_litellms_prefix_once(
    type_: ProviderType, name: str, model: str, base_url: str | None, called: str
) -> None:
    assert entry_of(type_, name).call_model(Purpose.CHAT, model, base_url) == called


def test_an_address_that_is_the_providers_own_is_no_proxy() -> None:
    groq = entry_of(ProviderType.API_KEY, "groq")
    assert groq.api_base is not None
    assert groq.call_model(Purpose.CHAT, "groq/llama", groq.api_base) == "groq/llama"
