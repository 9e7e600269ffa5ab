"""The two text formats of /metrics and how a scraper asks for them."""

import math
from enum import StrEnum


class TextFormat(StrEnum):
    """How the metrics are written down; the value is the media type."""

    PLAIN = "text/plain"
    OPENMETRICS = "application/openmetrics-text"

    @property
    def content_type(self) -> str:
        """The Content-Type header of a page in this format."""
        version = "0.0.4" if self is TextFormat.PLAIN else "1.0.0"
        return f"{self.value}; version={version}; charset=utf-8"

    @classmethod
    def choose(cls, accept: str) -> "TextFormat":
        """The format that an Accept header prefers; plain when it leaves the choice to us."""
        best, best_weight = cls.PLAIN, 0.0
        for part in accept.split(","):
            media, *parameters = (word.strip().lower() for word in part.split(";"))
            options = dict(word.split("=", 1) for word in parameters if "=" in word)
            weight = _weight(options.get("q", "1"))
            if media == cls.OPENMETRICS:
                fits = options.get("version", "1.0.0").startswith("1.")
            else:
                fits = media in {cls.PLAIN, "text/*", "*/*"}
            if fits and weight > best_weight:
                best, best_weight = (cls.OPENMETRICS if media == cls.OPENMETRICS else cls.PLAIN), weight
        return best


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 0.0
    return weight if math.isfinite(weight) else 0.0


def header(fmt: TextFormat, name: str, kind: str, about: str) -> str:
    """The two lines above a family's samples; a counter's name comes without `_total`."""
    if kind == "counter" and fmt is TextFormat.PLAIN:
        name += "_total"
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n"


def number(value: float) -> str:
    """A sample's value as both formats write it."""
    if math.isfinite(value):
        return repr(value)
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"


def escaped(value: str) -> str:
    """A label's value between its quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
