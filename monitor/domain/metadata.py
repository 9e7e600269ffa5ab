"""What an operator may say of a provider in its row's `metadata`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches

from monitor.domain.catalog import BusyCounters
from monitor.domain.target import ProbeSettings, Purpose

FIELDS = {
    "model": "The model to call, for every purpose without one of its own",
    "models": 'By purpose: `{"chat": "gpt-4o-mini", "embeddings": "text-embedding-3-small"}`',
    "base_url": "Another address for a hosted provider",
    "litellm_provider": "Another `custom_llm_provider` for litellm",
    "key_check_path": "Another path for the free check of the key",
    "models_path": "Another path of the list of models",
    "busy_counters": "Where a server tells busy from dead: `vllm_metrics` or `llamacpp_slots`",
    "embedding_space": "A name for the vector space: embedders of the same name may stand in for another",
    "model_aliases": 'By a caller\'s name of a model, the provider\'s own: `{"gpt-4o-mini": "llama-3.1-8b"}`',
    "probe.interval_seconds": "The interval of deep probes, instead of the policy's",
    "probe.light_interval_seconds": "The interval of light probes, instead of the policy's",
    "probe.timeout_seconds": "The whole time of a probe, instead of the policy's",
    "probe.model": "Probe this model instead of the one that is served",
    "probe.max_tokens": "The completion that a chat probe asks for, in tokens; 8 by default",
    "probe.daily_cost_usd": "What probing this provider may cost a day, instead of the policy's limit",
}
"""What each of our fields means; the documentation is made of it."""

PROBE_KEYS = tuple(name.removeprefix("probe.") for name in FIELDS if name.startswith("probe."))


class RowProblem(Exception):
    """A row that can't be used; the message names the field and the mend, never a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The part of a row's `metadata` that we heed, as `FIELDS` says; the rest is the application's own."""

    model: str | None = None
    models: Mapping[Purpose, str] = field(default_factory=dict)
    base_url: str | None = None
    litellm_provider: str | None = None
    key_check_path: str | None = None
    models_path: str | None = None
    busy_counters: BusyCounters | None = None
    embedding_space: str | None = None
    model_aliases: Mapping[str, str] = field(default_factory=dict)
    probe: ProbeSettings = field(default_factory=ProbeSettings)


def read_metadata(raw: object) -> Metadata:
    """Read a row's metadata.

    Raises:
        RowProblem: it is no object, or a field of ours has the wrong form.
    """
    if raw is None:
        return Metadata()
    if not isinstance(raw, Mapping):
        raise RowProblem(f"metadata is {_kind(raw)}: it has to be a JSON object")
    return Metadata(
        model=_text(raw, "model"),
        models=_models(raw.get("models")),
        base_url=_text(raw, "base_url"),
        litellm_provider=_text(raw, "litellm_provider"),
        key_check_path=_path(raw, "key_check_path"),
        models_path=_path(raw, "models_path"),
        busy_counters=_busy_counters(_text(raw, "busy_counters")),
        embedding_space=_text(raw, "embedding_space"),
        model_aliases=_aliases(raw.get("model_aliases")),
        probe=_probe(raw.get("probe")),
    )


def _models(raw: object) -> dict[Purpose, str]:
    # An application may keep a list of its own under this name: only an object by purpose is ours.
    if not isinstance(raw, Mapping):
        return {}
    return {
        purpose: text
        for purpose in Purpose
        if (text := _text(raw, purpose.value, "metadata.models.")) is not None
    }


def _aliases(raw: object) -> dict[str, str]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise RowProblem(
            f'metadata.model_aliases is {_kind(raw)}: write an object of names, as in {{"gpt-4o": "llama"}}'
        )
    for value in raw.values():
        if not isinstance(value, str) or not value.strip() or not value.strip().isprintable():
            raise RowProblem("metadata.model_aliases: write the name of a model for each name, on one line")
    return {str(name): value.strip() for name, value in raw.items()}


def _busy_counters(name: str | None) -> BusyCounters | None:
    if name is None:
        return None
    if name not in set(BusyCounters):
        raise RowProblem(f"metadata.busy_counters is unknown: write one of {', '.join(BusyCounters)}")
    return BusyCounters(name)


def _probe(raw: object) -> ProbeSettings:
    if raw is None:
        return ProbeSettings()
    if not isinstance(raw, Mapping):
        raise RowProblem(f"metadata.probe is {_kind(raw)}: it has to be a JSON object")
    for key in raw:
        if key not in PROBE_KEYS:
            near = get_close_matches(str(key), PROBE_KEYS, n=1)
            if near:
                raise RowProblem(f"metadata.probe has an unknown setting: did you mean {near[0]}?")
            raise RowProblem(f"metadata.probe has an unknown setting: known are {', '.join(PROBE_KEYS)}")
    defaults = ProbeSettings()
    max_tokens = _number(raw, "max_tokens", 1, 4096)
    if max_tokens is not None and not max_tokens.is_integer():
        raise RowProblem("metadata.probe.max_tokens is a fraction: write a whole number from 1 to 4096")
    return ProbeSettings(
        interval=_duration(raw, "interval_seconds", 1, 86_400),
        light_interval=_duration(raw, "light_interval_seconds", 1, 86_400),
        timeout=_duration(raw, "timeout_seconds", 0.1, 600),
        model=_text(raw, "model", "metadata.probe."),
        max_tokens=defaults.max_tokens if max_tokens is None else int(max_tokens),
        daily_cost_usd=_number(raw, "daily_cost_usd", 0, 10_000),
    )


def _text(raw: Mapping[object, object], key: str, path: str = "metadata.") -> str | None:
    value = raw.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise RowProblem(f"{path}{key} is {_kind(value)}: write a text that is not empty, or leave it out")
    if not value.strip().isprintable():
        raise RowProblem(f"{path}{key} has a line break or a control character in it: take it out")
    return value.strip()


def _path(raw: Mapping[object, object], key: str) -> str | None:
    # Without the slash `@elsewhere` behind our address would carry the key to another host.
    path = _text(raw, key)
    if path is not None and not path.startswith("/"):
        raise RowProblem(f"metadata.{key} has to begin with /: it is appended to the address")
    return path


def _number(raw: Mapping[object, object], key: str, least: float, most: float) -> float | None:
    value = raw.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise RowProblem(f"metadata.probe.{key} is {_kind(value)}: write a number from {least:g} to {most:g}")
    return float(value)


def _duration(raw: Mapping[object, object], key: str, least: float, most: float) -> timedelta | None:
    seconds = _number(raw, key, least, most)
    return None if seconds is None else timedelta(seconds=seconds)


def _kind(value: object) -> str:
    # Never the value itself: somebody will put a key into the wrong field one day.
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    empty = " that is empty" if value in ("", [], {}) else ""
    return names.get(type(value), type(value).__name__) + empty
