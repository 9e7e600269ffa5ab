"""States as words and colours: one that sees no colour reads the word, everybody else sees both."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from grafana_foundation_sdk.models.dashboard import (
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

# Okabe and Ito's colours, which people with any of the common colour blindnesses tell apart.
GREEN = "#009E73"
RED = "#D55E00"
ORANGE = "#E69F00"
PURPLE = "#CC79A7"
BLUE = "#56B4E9"
GREY = "#8C8C8C"


@dataclass(frozen=True, slots=True)
class Word:
    """What one value means."""

    text: str
    color: str


Words = Mapping[float, Word]

HEALTH: Words = MappingProxyType(
    {1: Word("up", GREEN), 2: Word("unknown", GREY), 3: Word("blocked", PURPLE), 4: Word("down", RED)}
)
"""The health of a target, worse ones being more."""

STANDING: Words = MappingProxyType(
    {
        0: Word("by the rules", GREEN),
        1: Word("paused", BLUE),
        2: Word("pinned", BLUE),
        3: Word("pinned, not fit", ORANGE),
        4: Word("stranded", RED),
    }
)
"""How a purpose stands, what asks for more being more."""

SERVED: Words = MappingProxyType({0: Word("nobody fit", RED), 1: Word("served", GREEN)})
SERVES: Words = MappingProxyType({1: Word("serves", BLUE)})
BLOCKED: Words = MappingProxyType({1: Word("blocked", PURPLE)})
STORE: Words = MappingProxyType({0: Word("away", RED), 1: Word("answers", GREEN)})
SCRAPED: Words = MappingProxyType({0: Word("not reached", RED), 1: Word("up", GREEN)})
ROLE: Words = MappingProxyType({0: Word("stands by", GREY), 1: Word("acts", GREEN)})


def mappings(words: Words) -> list[ValueMapping]:
    """Grafana's value mappings."""
    options = {
        f"{value:g}": ValueMappingResult(text=word.text, color=word.color, index=index)
        for index, (value, word) in enumerate(words.items())
    }
    return [ValueMap(options=options)]


def steps(base: str, *more: tuple[float, str]) -> ThresholdsConfig:
    """The colours from a value on, the first for everything below."""
    found = [Threshold(color=base), *(Threshold(value=value, color=color) for value, color in more)]
    return ThresholdsConfig(mode=ThresholdsMode.ABSOLUTE, steps=found)


SHARE_FAILED = steps(GREEN, (0.01, ORANGE), (0.2, RED))
"""Of deep probes."""
