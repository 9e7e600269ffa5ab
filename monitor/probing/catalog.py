"""Reads the catalog, the one data file about providers and server types."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from monitor.domain.catalog import BusyCounters, Catalog, CatalogEntry, KeyScheme
from monitor.domain.target import ProviderType, Purpose

_TEXTS = ("api_base", "api_base_suffix", "key_check_path", "models_path", "health_path", "loaded_path")
_FLAGS = ("needs_key", "slow_start", "streamed", "stream_usage")
_BY_PURPOSE = ("litellm", "models", "call_paths")
_KNOWN = {*_TEXTS, *_FLAGS, *_BY_PURPOSE, "key_scheme", "busy_counters", "headers", "aliases"}
_TABLES = {"servers": ProviderType.AI_SERVER, "providers": ProviderType.API_KEY}


class CatalogError(ValueError):
    """The catalog does not hold what it must; the message names the entry and the field."""


def load_catalog(path: Path | None = None) -> Catalog:
    """The catalog of a file, or the one that comes with the program.

    Raises:
        CatalogError: an entry or a field is wrong.
    """
    source = path if path is not None else files("monitor.probing").joinpath("catalog.toml")
    try:
        document = tomllib.loads(source.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"catalog: {error}") from error
    entries: dict[tuple[ProviderType, str], CatalogEntry] = {}
    for table, type_ in _TABLES.items():
        for name, fields in document.pop(table, {}).items():
            entry = _entry(f"{table}.{name}", name, type_, fields)
            for known_as in (name, *_names(f"{table}.{name}", "aliases", fields.get("aliases", []))):
                if entries.setdefault((type_, known_as), entry) is not entry:
                    raise CatalogError(f"catalog {table}.{name}: aliases: {known_as!r} stands there twice")
    for name in _names("generic", "providers", document.pop("generic", {}).get("providers", [])):
        purposes = dict.fromkeys((Purpose.CHAT, Purpose.EMBEDDINGS, Purpose.RERANKING), name)
        generic = CatalogEntry(
            name=name,
            type=ProviderType.API_KEY,
            litellm_providers=purposes,
            models={},
            needs_key=True,
            stream_usage=False,
            generic=True,
        )
        entries.setdefault((ProviderType.API_KEY, name), generic)
    if document:
        raise CatalogError(f"catalog: {next(iter(document))!r} is no table of it")
    return Catalog(entries=entries)


def _entry(where: str, name: str, type_: ProviderType, fields: object) -> CatalogEntry:
    if not isinstance(fields, dict):
        raise CatalogError(f"catalog {where}: is no table")
    for field in fields:
        if field not in _KNOWN:
            raise CatalogError(f"catalog {where}: {field}: unknown field")
    values: dict[str, Any] = {}
    for field in _TEXTS:
        if field in fields:
            values[field] = _text(where, field, fields[field])
    for field in _FLAGS:
        if field in fields:
            if not isinstance(fields[field], bool):
                raise CatalogError(f"catalog {where}: {field}: must be true or false")
            values[field] = fields[field]
    for field, kind in (("key_scheme", KeyScheme), ("busy_counters", BusyCounters)):
        if field in fields:
            values[field] = _choice(where, field, kind, fields[field])
    for field in ("api_base", "api_base_suffix"):
        if values.get(field, "").endswith("/"):
            raise CatalogError(f"catalog {where}: {field}: ends with a slash")
    litellm_providers = _by_purpose(where, "litellm", fields.get("litellm"))
    if not litellm_providers:
        raise CatalogError(f"catalog {where}: litellm: serves no purpose")
    if type_ is ProviderType.API_KEY and "api_base" not in values:
        raise CatalogError(f"catalog {where}: api_base: is missing")
    return CatalogEntry(
        name=name,
        type=type_,
        litellm_providers=litellm_providers,
        models=_by_purpose(where, "models", fields.get("models", {})),
        call_paths=_by_purpose(where, "call_paths", fields.get("call_paths", {})),
        headers=_headers(where, fields.get("headers", {})),
        **values,
    )


def _text(where: str, field: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise CatalogError(f"catalog {where}: {field}: must be a text")
    return value


def _choice(where: str, field: str, kind: type[KeyScheme] | type[BusyCounters], value: Any) -> object:
    try:
        return kind(value)
    except ValueError as error:
        raise CatalogError(f"catalog {where}: {field}: {value!r} is none of {', '.join(kind)}") from error


def _by_purpose(where: str, field: str, value: object) -> Mapping[Purpose, str]:
    if not isinstance(value, dict):
        raise CatalogError(f"catalog {where}: {field}: must be a table by purpose")
    try:
        return {Purpose(purpose): _text(where, f"{field}.{purpose}", text) for purpose, text in value.items()}
    except ValueError as error:
        if isinstance(error, CatalogError):
            raise
        raise CatalogError(f"catalog {where}: {field}: knows only {', '.join(Purpose)}") from error


def _headers(where: str, value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise CatalogError(f"catalog {where}: headers: must be a table")
    return {name: _text(where, f"headers.{name}", text) for name, text in value.items()}


def _names(where: str, field: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise CatalogError(f"catalog {where}: {field}: must be a list of names")
    return value
