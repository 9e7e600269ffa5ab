"""What litellm sends when an application calls it with our arguments, for every kind of provider."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from monitor.domain.provider import ProviderType, Purpose
from monitor.domain.rows import KeyRow, ServerRow
from monitor.domain.target import Target
from monitor.integration.configuration import ProviderConfiguration
from monitor.integration.loading import load
from monitor.keyring import Keyring, generate
from monitor.probing.catalog import load_catalog
from monitor.storage.served import Served
from tests.daemon import ROOT
from tests.fault_server import FaultServer, Seen
from tests.providers import LlamaServer, LlmockServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CATALOG = load_catalog()
KEYRING = Keyring(generate())
KEY = "sk-of-the-row-1a2b3c4d"
FOREIGN = "sk-of-the-environment-9z8y"
WAYS = ("whole", "three", "async")
# What an application's environment may hold, and what must never be sent to a server of somebody else.
FOREIGN_VARIABLES = (
    "OPENAI_API_KEY", "HOSTED_VLLM_API_KEY", "OPENROUTER_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY",
    "GOOGLE_API_KEY", "COHERE_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_API_KEY", "FIREWORKS_API_KEY",
    "FIREWORKS_AI_API_KEY", "GROQ_API_KEY", "MISTRAL_API_KEY", "DEEPSEEK_API_KEY", "XAI_API_KEY",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A row, and the request that is right for it.

    Attributes:
        name: server type or provider.
        purpose: what is called for.
        model: as the row names it.
        path: behind the row's address.
        sent: the model as the provider shall get it, where that is not as the row names it.
        base: of the row's address, behind the host.
        key: of the row.
        read: litellm can read what our server answers; the API as other people play it is called below.
    """

    name: str
    purpose: Purpose
    model: str
    path: str
    sent: str | None = None
    base: str = ""
    key: str | None = KEY
    read: bool = True

    @property
    def id(self) -> str:
        return f"{self.name}-{self.purpose}-{'key' if self.key else 'open'}-{self.model.replace('/', '_')}"

    def configuration(self, base_url: str) -> ProviderConfiguration:
        row: ServerRow | KeyRow
        if CATALOG.find(ProviderType.AI_SERVER, self.name) is not None:
            row = ServerRow(
                id=1,
                name=self.name,
                server_type=self.name,
                base_url=base_url,
                api_key=KEYRING.seal(self.key) if self.key else None,
                model_path=self.model,
                enabled=True,
                purposes=frozenset(),
                health_status=None,
                metadata={},
            )
        else:
            row = KeyRow(
                id=1,
                provider=self.name,
                key_name="main",
                key=KEYRING.seal(self.key or ""),
                enabled=True,
                metadata={"base_url": base_url, "model": self.model},
            )
        served = Served(
            active=row.ref, row=row, fallback=None, health_status="unknown", last_health_check=None
        )
        store: Any = SimpleNamespace(pool=None, keyring=KEYRING)
        return asyncio.run(load(store, CATALOG, served, self.purpose, no_model))


async def no_model(_target: Target, _key: str | None) -> str | None:
    return None


CHAT, EMBED, RERANK = Purpose.CHAT, Purpose.EMBEDDINGS, Purpose.RERANKING
OPEN = "openai/gpt-oss-20b"  # a name that litellm would cut
CASES = [
    *(
        Case(name, CHAT, model, "/v1/chat/completions", key=key, base=base)
        for name in ("vllm", "ollama", "llamacpp", "openai-compatible")
        for key, model, base in ((KEY, OPEN, "/v1"), (None, "llama3.2:3b", ""))
    ),
    *(
        Case(name, EMBED, "org/bge-m3", "/v1/embeddings", key=key)
        for name in ("vllm", "ollama", "llamacpp", "openai-compatible")
        for key in (KEY, None)
    ),
    *(
        Case(name, RERANK, "BAAI/bge-reranker", "/v1/rerank", key=key)
        for name in ("vllm", "llamacpp", "openai-compatible")
        for key in (KEY, None)
    ),
    Case("openrouter", CHAT, OPEN, "/api/v1/chat/completions", base="/api/v1"),
    Case("openrouter", CHAT, "openrouter/auto", "/api/v1/chat/completions", base="/api/v1"),
    Case("openrouter", CHAT, "auto", "/api/v1/chat/completions", base="/api/v1", sent="openrouter/auto"),
    Case("openrouter", EMBED, "openai/text-embedding-3-small", "/api/v1/embeddings", base="/api/v1"),
    Case("openai", CHAT, "gpt-4o-mini", "/v1/chat/completions", base="/v1"),
    Case("openai", EMBED, "text-embedding-3-small", "/v1/embeddings", base="/v1"),
    Case("anthropic", CHAT, "claude-haiku-4-5", "/v1/messages", read=False),
    Case("google", CHAT, "gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash:generateContent",
         base="/v1beta", read=False),
    Case("google", EMBED, "gemini-embedding-001", "/v1beta/models/gemini-embedding-001:batchEmbedContents",
         base="/v1beta"),
    Case("cohere", CHAT, "command-r7b-12-2024", "/v2/chat"),
    Case("cohere", EMBED, "embed-v4.0", "/v2/embed"),
    Case("cohere", RERANK, "rerank-v3.5", "/v2/rerank"),
    Case("together", CHAT, "openai/gpt-oss-120b", "/v1/chat/completions", base="/v1"),
    Case("together", EMBED, "BAAI/bge-base-en-v1.5", "/v1/embeddings", base="/v1"),
    Case("together", RERANK, "Salesforce/Llama-Rank-V1", "/v1/rerank", base="/v1"),
    Case("fireworks", CHAT, "accounts/fireworks/models/gpt-oss-20b", "/inference/v1/chat/completions",
         base="/inference/v1"),
    Case("fireworks", EMBED, "accounts/fireworks/models/qwen3-embedding-8b", "/inference/v1/embeddings",
         base="/inference/v1"),
    Case("fireworks", RERANK, "qwen3-reranker-8b", "/inference/v1/rerank", base="/inference/v1",
         sent="fireworks/qwen3-reranker-8b"),
    Case("groq", CHAT, OPEN, "/openai/v1/chat/completions", base="/openai/v1", read=False),
    Case("mistral", CHAT, "ministral-3b-latest", "/v1/chat/completions", base="/v1"),
    Case("mistral", EMBED, "mistral-embed", "/v1/embeddings", base="/v1"),
    Case("deepseek", CHAT, "deepseek-v4-flash", "/chat/completions"),
    Case("xai", CHAT, "grok-4.20-non-reasoning", "/v1/chat/completions", base="/v1"),
]  # fmt: skip


@dataclass(frozen=True)
class Calls:
    """What came of all calls: by name what was raised, and by case what was sent."""

    raised: dict[str, str | None]
    sent: dict[str, list[Seen]]


async def run_caller(calls: list[dict[str, Any]]) -> dict[str, str | None]:
    """The answers of an application of its own process, whose environment holds other keys."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.litellm_caller",
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": "/"} | dict.fromkeys(FOREIGN_VARIABLES, FOREIGN),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(json.dumps(calls).encode())
    assert process.returncode == 0, err.decode()[-3000:]
    found: dict[str, str | None] = json.loads(out.decode().strip().rpartition("\n")[2])
    return found


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def calls() -> AsyncIterator[Calls]:
    async with FaultServer() as server:
        server.models = sorted({case.sent or case.model for case in CASES})
        wanted = []
        for case in CASES:
            config = (
                await asyncio.to_thread(case.configuration, f"{server.url}/{case.id}{case.base}")
            ).to_litellm_config()
            for way in WAYS:
                three = {name: config[name] for name in ("model", "api_base", "api_key")}
                wanted.append(
                    {
                        "name": f"{case.id} {way}",
                        "purpose": case.purpose,
                        "config": three if way == "three" else config,
                    }
                )
        raised = await run_caller(wanted)
        sent: dict[str, list[Seen]] = {}
        for one in server.seen:
            sent.setdefault(one.path.split("/")[1], []).append(one)
        yield Calls(raised, sent)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.id))
async def test_litellm_sends_what_the_provider_wants(case: Case, calls: Calls) -> None:
    for way in WAYS:
        assert calls.raised[f"{case.id} {way}"] is None or not case.read, way
    sent = [one for one in calls.sent[case.id] if one.method == "POST"]
    assert len(sent) == len(calls.sent[case.id]) == len(WAYS)
    assert {urlsplit(one.path).path for one in sent} == {f"/{case.id}{case.path}"}
    assert {one.model for one in sent} == {case.sent or case.model}
    assert {one.key for one in sent} == {case.key or "none"}
    assert all("metadata" not in one.fields for one in sent)  # it is for callbacks, not for the provider


# Not Groq's: litellm wants a field (service_tier) that llmock leaves out of whole answers.
PLAYED = [
    Case("openai", CHAT, "gpt-4o-mini", "", base="/v1"),
    Case("anthropic", CHAT, "claude-haiku-4-5", "", base="/anthropic"),
    Case("google", CHAT, "gemini-2.5-flash", "", base="/gemini/v1beta"),
    Case("cohere", CHAT, "command-r7b-12-2024", "", base="/cohere"),
    Case("mistral", CHAT, "ministral-3b-latest", "", base="/mistral/v1"),
    Case("together", CHAT, "openai/gpt-oss-120b", "", base="/together/v1"),
    Case("xai", CHAT, "grok-4.20-non-reasoning", "", base="/xai/v1"),
    Case("openai", EMBED, "text-embedding-3-small", "", base="/v1"),
]


async def test_the_apis_as_other_people_play_them_answer() -> None:
    async with LlmockServer() as llmock, LlamaServer() as llama:
        local = Case("llamacpp", CHAT, "smollm2", "", key=None)
        wanted = [
            {"name": f"{case.id} {way}", "purpose": case.purpose, "config": found.to_litellm_config()}
            for url, case in [*((llmock.url, case) for case in PLAYED), (llama.url, local)]
            for found in [await asyncio.to_thread(case.configuration, f"{url}{case.base}")]
            for way in ("whole", "async")
        ]
        raised = await run_caller(wanted)
    assert raised == dict.fromkeys(str(one["name"]) for one in wanted)


async def test_no_key_at_all_would_be_a_key_of_the_environment() -> None:
    """Why a server without a key gets a word instead of None."""
    async with FaultServer(models=["m"]) as server:
        configs = [
            await asyncio.to_thread(Case(name, CHAT, "m", "", key=None).configuration, f"{server.url}/{name}")
            for name in ("openai-compatible", "vllm")
        ]
        await run_caller(
            [
                {"name": str(number), "purpose": CHAT, "config": one.to_litellm_config() | {"api_key": None}}
                for number, one in enumerate(configs)
            ]
        )
        assert [one.key for one in server.seen] == [FOREIGN, FOREIGN]


async def test_litellm_knows_every_other_name_of_the_catalog() -> None:
    names = sorted({entry.name for entry in CATALOG.entries.values() if entry.generic})
    wanted = [
        {
            "name": name,
            "purpose": "route",
            "config": {
                "model": f"{name}/some/model",
                "api_base": None,
                "api_key": KEY,
                "custom_llm_provider": name,
            },
        }
        for name in names
    ]
    assert await run_caller(wanted) == dict.fromkeys(names)
    for name in names:
        found = await asyncio.to_thread(
            Case(name, CHAT, "some/model", "").configuration, "https://other.example"
        )
        assert found.to_litellm_config() | {"metadata": None} == {
            "model": f"{name}/some/model",
            "api_base": "https://other.example",
            "api_key": KEY,
            "custom_llm_provider": name,
            "metadata": None,
        }


async def test_every_kind_of_provider_and_purpose_stands_in_the_table() -> None:
    known = {
        (entry.name, purpose)
        for entry in CATALOG.entries.values()
        if not entry.generic
        for purpose in entry.litellm_providers
    }
    assert {(case.name, case.purpose) for case in CASES} == known
