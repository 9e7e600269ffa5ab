"""Looks for model servers on this machine's loopback, and tells them apart by what they answer."""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import aiohttp

from monitor.domain.provider import Purpose
from monitor.probing.model_list import models_of

PORTS = (11434, 8000, 8080, 1234)
"""Where Ollama, vLLM, llama.cpp and LM Studio listen unless told otherwise."""

ANSWER_SECONDS = 0.45
"""For one answer; a server is asked in two rounds at most."""

ANSWER_LIMIT = 1 << 20

_EMBEDS = re.compile(r"embed|minilm|(?:^|[/_-])(?:bge|gte|e5)-", re.IGNORECASE)
_RERANKS = re.compile(r"rerank", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundServer:
    """A model server that answered.

    Attributes:
        server_type: the catalog's name for it.
        base_url: without a trailing slash and without `/v1`.
        models: what it lists, in its order; never empty.
    """

    server_type: str
    base_url: str
    models: tuple[str, ...]

    def models_by_purpose(self) -> dict[Purpose, str]:
        """The first model for each purpose, as far as the models' names tell."""
        found: dict[Purpose, str] = {}
        for model in self.models:
            found.setdefault(_purpose_of(model), model)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    document: object
    server: str


async def find_servers(ports: Iterable[int] = PORTS, host: str = "127.0.0.1") -> list[FoundServer]:
    """The model servers on these ports, in their order; all are asked at once, in less than a second.

    Args:
        ports: where to look.
        host: an address of this machine.
    """
    # Loopback is asked without the environment's proxy, and nothing that answers may lead us elsewhere.
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(
        timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": "llm-monitor"}
    ) as session:
        looks = [_look(session, f"http://{host}:{port}") for port in dict.fromkeys(ports)]
        found = await asyncio.gather(*looks)
    return [server for server in found if server is not None]


async def _look(session: aiohttp.ClientSession, url: str) -> FoundServer | None:
    openai, version = await _get_all(session, url, "/v1/models", "/api/version")
    listed = _openai_models(openai.document) if openai else ()
    if not listed and version is None:
        return None  # a stranger is asked no more
    kind = _openai_kind(openai) if openai and listed else "unknown"
    if kind in ("unknown", "openai-compatible"):
        tags, props = await _get_all(session, url, "/api/tags", "/props")
        if _is_llamacpp(props):
            kind = "llamacpp"
        elif version and tags and _is_ollama(version) and (local := _ollama_models(tags.document)):
            kind, listed = "ollama", local
    return FoundServer(server_type=kind, base_url=url, models=listed) if listed else None


async def _get_all(session: aiohttp.ClientSession, url: str, *paths: str) -> list[_Answer | None]:
    return await asyncio.gather(*(_get(session, url + path) for path in paths))


async def _get(session: aiohttp.ClientSession, url: str) -> _Answer | None:
    """A JSON answer of status 200, or None."""
    try:
        async with session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                return None
            body = await response.content.read(ANSWER_LIMIT)
            while len(body) < ANSWER_LIMIT and (more := await response.content.read(ANSWER_LIMIT)):
                body += more
            return _Answer(document=json.loads(body), server=response.headers.get("Server", ""))
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError, RecursionError):
        return None


def _openai_kind(openai: _Answer) -> str:
    owners = {str(item.get("owned_by", "")).lower() for item in _items(openai.document, "data")}
    if "vllm" in owners:
        return "vllm"
    if "llamacpp" in owners or openai.server.lower().startswith("llama.cpp"):
        return "llamacpp"
    return "openai-compatible"


def _is_llamacpp(props: _Answer | None) -> bool:
    return (
        props is not None
        and isinstance(props.document, dict)
        and "default_generation_settings" in props.document
    )


def _is_ollama(version: _Answer) -> bool:
    """Its answer to /api/version; llama.cpp's server answers /api/tags too, to please Ollama's clients."""
    return isinstance(version.document, dict) and isinstance(version.document.get("version"), str)


def _openai_models(document: object) -> tuple[str, ...]:
    """The names, when this is a list of models and of nothing else."""
    if not isinstance(document, dict) or document.get("object") != "list":
        return ()
    items = _items(document, "data")
    if not all(isinstance(item.get("id"), str) and item.get("object", "model") == "model" for item in items):
        return ()
    return _readable(models_of(document))


def _ollama_models(document: object) -> tuple[str, ...]:
    if not all(isinstance(item.get("name"), str) for item in _items(document, "models")):
        return ()
    return _readable(models_of(document))


def _items(document: object, field: str) -> list[Mapping[str, object]]:
    items = document.get(field) if isinstance(document, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _readable(names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Names that may stand in a row and on a terminal."""
    return tuple(name for name in names or () if len(name) <= 200 and name.isprintable())


def _purpose_of(model: str) -> Purpose:
    if _RERANKS.search(model):
        return Purpose.RERANKING
    return Purpose.EMBEDDINGS if _EMBEDS.search(model) else Purpose.CHAT
