"""The rules and the routes as they are shipped, with every duration divided: minutes become seconds."""

import re
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parents[2] / "grafana/prometheus"
_MILLISECONDS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATIONS = {"interval", "for", "keep_firing_for", "group_wait", "group_interval", "repeat_interval"}
_IN_EXPRESSIONS = re.compile(r"(?<=\[)\d+[smhd](?=\])|(?<=offset )\d+[smhd]\b")
# Seconds without a unit, samples of a group, and the bucket that counts as late.
_SECONDS = re.compile(r"\b300(?= \+)|\b60(?= \*)")
_SAMPLES = re.compile(r"(?<=>= )\d{4}\b")
_BUCKET = re.compile(r'(?<=le=")5\.0(?=")')


def quick_rules(folder: Path, divisor: int, *, late: str = "5.0") -> list[Path]:
    """Both files of rules, written into a folder.

    Args:
        folder: where.
        divisor: of every duration, and of the number of samples that a baseline wants.
        late: the bucket from which on a probe is late; the daemon has no more than its own.
    """
    written = []
    for name in ("recording.yaml", "alerts.yaml"):
        shipped = yaml.safe_load((RULES / name).read_text(encoding="utf-8"))
        path = folder / name
        for rule in (rule for group in shipped["groups"] for rule in group["rules"]):
            rule["expr"] = _BUCKET.sub(late, rule["expr"])
        path.write_text(yaml.safe_dump(_divided(shipped, divisor), width=1000), encoding="utf-8")
        written.append(path)
    return written


def quick_routes(receiver: str, divisor: int) -> str:
    """The Alertmanager's configuration, its receivers at one address, as `/night`, `/day` and `/log`."""
    shipped = yaml.safe_load((RULES / "alertmanager.yml").read_text(encoding="utf-8"))
    for one in shipped["receivers"]:
        one["webhook_configs"] = [{"url": f"{receiver}/{one['name']}"}]
    return str(yaml.safe_dump(_divided(shipped, divisor)))


def _divided(found: Any, divisor: int) -> Any:
    if isinstance(found, list):
        return [_divided(one, divisor) for one in found]
    if not isinstance(found, dict):
        return found
    return {
        name: _shorter(value, divisor)
        if name in _DURATIONS
        else _in_expression(value, divisor)
        if name == "expr"
        else _divided(value, divisor)
        for name, value in found.items()
    }


def _in_expression(expr: str, divisor: int) -> str:
    expr = _IN_EXPRESSIONS.sub(lambda match: _shorter(match[0], divisor), expr)
    expr = _SECONDS.sub(lambda match: f"{int(match[0]) / divisor:g}", expr)
    return _SAMPLES.sub(lambda match: str(int(match[0]) // divisor), expr)


def _shorter(duration: str, divisor: int) -> str:
    return f"{int(duration[:-1]) * _MILLISECONDS[duration[-1]] // divisor}ms"
