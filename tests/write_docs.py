"""`make docs`: write the parts of the documentation that are made of the code, each between two marks."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

from monitor.domain.metadata import FIELDS
from monitor.domain.policy import Failback, Policy
from monitor.domain.rules import rule_list
from monitor.settings import show_duration
from monitor.settings.door import Door, range_of
from monitor.settings.names import SECRETS, SETTINGS
from tests.every_metric import Told, every_metric

DOCS = Path(__file__).parent.parent / "docs"
TARGET_LABELS = ("provider_type", "provider_id", "provider", "purpose")
FLOAT_UNITS = {"jitter": "share", "report_share": "share", "slow_factor": "factor", "daily_cost_usd": "USD"}

_MEANING = re.compile(r"^        (\w+): (.+?)[.,]?$", re.MULTILINE)


def settings_table() -> str:
    """Every setting but the policy."""
    rows = [
        (f"`{name}`", f"`{one.variable}`", _default(name), _unit(name), one.meaning)
        for name, one in SETTINGS.items()
    ]
    return _table(("name", "variable", "default", "unit", "meaning"), rows)


def policy_table() -> str:
    """Every number of the policy; its meaning stands in the policy's own documentation."""
    meanings = dict(_MEANING.findall(Policy.__doc__ or ""))
    rows = []
    for field in fields(Policy):
        value = getattr(Policy(), field.name)
        match value:
            case timedelta():
                shown, unit = show_duration(value), "duration"
            case Failback():
                shown, unit = str(value), "word"
            case float():
                shown, unit = str(value), FLOAT_UNITS[field.name]
            case _:
                shown, unit = str(value), "number"
        variable = f"`MONITOR_POLICY_{field.name.upper()}`"
        rows.append((f"`{field.name}`", variable, shown, unit, meanings[field.name]))
    return _table(("name", "variable", "default", "unit", "meaning"), rows)


def metadata_table() -> str:
    """What we heed of a row's metadata."""
    return _table(("field", "meaning"), [(f"`metadata.{name}`", about) for name, about in FIELDS.items()])


def target_metrics() -> str:
    """Metrics of targets."""
    return _metrics([one for one in every_metric() if one.labels[:4] == TARGET_LABELS], TARGET_LABELS)


def purpose_metrics() -> str:
    """Metrics of purposes."""
    return _metrics(
        [one for one in every_metric() if "purpose" in one.labels and one.labels[:4] != TARGET_LABELS],
        ("purpose",),
    )


def daemon_metrics() -> str:
    """Metrics of the daemon itself."""
    return _metrics([one for one in every_metric() if not {"purpose", "provider_id"} & set(one.labels)], ())


PARTS: dict[str, dict[str, Callable[[], str]]] = {
    "failover.md": {"rules": lambda: rule_list(Policy())},
    "configuration.md": {"settings": settings_table, "policy": policy_table, "metadata": metadata_table},
    "metrics.md": {"targets": target_metrics, "purposes": purpose_metrics, "daemon": daemon_metrics},
}
"""By page and mark, what makes the part."""


def written(page: str, text: str) -> str:
    """A page with its parts as the code has them.

    Raises:
        ValueError: a mark is missing.
    """
    for name, make in PARTS[page].items():
        begin, end = f"<!-- made by make docs: {name} -->\n", "<!-- end -->\n"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise ValueError(f"docs/{page} has no marks of {name}")
        text = f"{before}{begin}{make()}\n{end}{after}"
    return text


def _metrics(told: Sequence[Told], common: tuple[str, ...]) -> str:
    rows = [
        (f"`{one.name}`", one.kind, _labels(label for label in one.labels if label not in common), one.about)
        for one in told
    ]
    return _table(("metric", "type", "further labels" if common else "labels", "meaning"), rows)


def _labels(labels: Iterator[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)


def _default(name: str) -> str:
    if name == "data_dir":
        return "see below"
    value = Door.model_fields[name].default if name in Door.model_fields else None
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value in (None, ()) else str(value)


def _unit(name: str) -> str:
    unit = SETTINGS[name].unit
    if bounds := range_of(name):
        unit = f"{unit}, {bounds}"
    return f"{unit}; secret" if name in SECRETS else unit


if __name__ == "__main__":
    for _page in PARTS:
        _path = DOCS / _page
        _path.write_text(written(_page, _path.read_text(encoding="utf-8")), encoding="utf-8")
