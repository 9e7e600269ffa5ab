"""Reads the lists of models that servers and providers give, in their several shapes."""

from collections.abc import Iterable

from monitor.domain.catalog import CatalogEntry

MODELS_KEPT = 500


def models_of(document: object) -> tuple[str, ...] | None:
    """The models' names in the list's order, or None when the document is no list of models."""
    items = document
    if isinstance(document, dict):
        items = document.get("data", document.get("models"))
    if not isinstance(items, list):
        return None
    names = (_name(item) for item in items)
    return tuple(name for name in names if name)[:MODELS_KEPT]


def is_paged(document: object) -> bool:
    """Whether there is more of the list than this, so that an absence says nothing."""
    if not isinstance(document, dict):
        return False
    listed = document.get("data", document.get("models"))
    cut = isinstance(listed, list) and len(listed) > MODELS_KEPT
    return cut or bool(
        document.get("has_more") or document.get("nextPageToken") or document.get("next_page_token")
    )


def lists(models: Iterable[str], model: str, entry: CatalogEntry) -> bool:
    """Whether the model stands in the list; litellm's and Google's prefixes and `:latest` do not count."""
    prefixes = {f"{name}/" for name in (entry.name, *entry.litellm_providers.values())} | {"models/"}
    wanted = _spellings(model, prefixes)
    return any(not wanted.isdisjoint(_spellings(one, prefixes)) for one in models)


def _spellings(model: str, prefixes: set[str]) -> set[str]:
    names = {model}
    names |= {model.removeprefix(prefix) for prefix in prefixes}
    return {name.removesuffix(":latest") for name in names}


def _name(item: object) -> str | None:
    if isinstance(item, str):
        return item
    if isinstance(item, dict):
        for field in ("id", "model", "name"):
            value = item.get(field)
            if isinstance(value, str) and value:
                return value.removeprefix("models/")
    return None
