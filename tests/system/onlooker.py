"""What somebody sees who looks at the dashboards and the alerts of a Prometheus."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.dashboards import PanelQuery, filled, queries
from tests.system.prometheus import Curve, Prometheus, Sample

SECONDS = 60.0
_LOOK_SECONDS = 0.4
_TOLD_APART = ("window", "aspect")

Place = tuple[str, str, str]
Values = dict[tuple[str, ...], float]


class Onlooker:
    """One who chose some variables; knows which alerts have been pending or firing since `forget`.

    Attributes:
        alerts: rules whose expression has given something, by `alert_name`.
    """

    def __init__(
        self, prometheus: Prometheus, variables: Mapping[str, str], provider: str, others: Mapping[str, str]
    ) -> None:
        """Begin.

        Args:
            prometheus: that is asked.
            variables: values by name.
            provider: whom to choose in the dashboard `provider`.
            others: whom to choose there instead, by panel.
        """
        self._prometheus = prometheus
        self._variables = variables
        self._provider = provider
        self._others = others
        self.places: dict[Place, PanelQuery] = {query.place: query for query in queries()}
        self.alerts: set[str] = set()
        self.now: set[str] = set()

    def expression(self, place: Place) -> str:
        """The query of a place as Grafana would send it."""
        query = self.places[place]
        values = dict(self._variables)
        if query.dashboard == "provider":
            values["provider"] = self._others.get(query.panel, self._provider)
        return filled(query.expr, values)

    async def see(self, place: Place) -> list[Sample]:
        """What a place shows now; no number is nothing."""
        found = await self._prometheus.query(self.expression(place))
        return [one for one in found if not math.isnan(one["value"])]

    async def values(self, place: Place, *labels: str) -> Values:
        """The same by labels."""
        return {
            tuple(one["metric"].get(name, "") for name in labels): one["value"]
            for one in await self.see(place)
        }

    async def curves(self, expr: str, start: float, end: float) -> list[Curve]:
        """What an expression gave over time."""
        return await self._prometheus.query_range(expr, start, end, 0.5)

    async def recorded(self, name: str) -> bool:
        """Whether a recorded series is there."""
        return any(not math.isnan(one["value"]) for one in await self._prometheus.query(name))

    async def until_seen(self, places: Iterable[Place]) -> None:
        """Wait until every one of these places shows something."""
        await self._until_none_misses(places, self.see, "have no data")

    async def until_recorded(self, names: Iterable[str]) -> None:
        """Wait until every one of these series is there."""
        await self._until_none_misses(names, self.recorded, "are not recorded")

    async def until_values(self, place: Place, *labels: str, holds: Callable[[Values], bool]) -> Values:
        """Wait until what a place shows is right; what it shows then."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SECONDS
        while not holds(found := await self.values(place, *labels)):
            assert loop.time() < deadline, (place, found)
            await asyncio.sleep(_LOOK_SECONDS)
        return found

    async def until_shows(self, place: Place, labels: tuple[str, ...], expected: Values) -> None:
        """Wait until a place shows these values and no others."""
        await self.until_values(place, *labels, holds=lambda found: found == expected)

    async def until_names(
        self, place: Place, labels: tuple[str, ...], expected: set[tuple[str, ...]]
    ) -> None:
        """Wait until a place shows these, whatever their values, and no others."""
        await self.until_values(place, *labels, holds=lambda found: found.keys() == expected)

    async def until_alerts(self, names: Iterable[str]) -> None:
        """Wait until all of these have been pending or firing since `forget`."""
        await self._until_none_misses(names, self._is_active, "are not active")

    async def until_alerts_are(self, names: Iterable[str], *, but_for: str) -> None:
        """Wait until these are pending or firing, and no others; one may be or not."""
        expected, loop = {*names} - {but_for}, asyncio.get_running_loop()
        deadline = loop.time() + SECONDS
        while (found := self.now - {but_for}) != expected:
            assert loop.time() < deadline, (found - expected, expected - found)
            await asyncio.sleep(_LOOK_SECONDS)

    def forget(self) -> None:
        """Another moment begins."""
        self.alerts = set(self.now)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look at the alerts all the while; a rule that Prometheus can't evaluate ends everything."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch())
            try:
                yield
            finally:
                watch.cancel()

    async def _watch(self) -> None:
        while True:
            rules = await self._prometheus.rules()
            assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] == "err"] == []
            self.now = {
                alert_name(rule["name"], rule["labels"])
                for rule in rules
                if rule["type"] == "alerting" and rule["state"] != "inactive"
            }
            self.alerts |= self.now
            await asyncio.sleep(_LOOK_SECONDS)

    async def _is_active(self, name: str) -> bool:
        return name in self.alerts

    async def _until_none_misses(self, wanted: Iterable[Any], look: Callable[[Any], Any], what: str) -> None:
        missing, loop = list(wanted), asyncio.get_running_loop()
        deadline = loop.time() + SECONDS
        while missing := [one for one in missing if not await look(one)]:
            assert loop.time() < deadline, f"{missing} {what}; active are {sorted(self.now)}"
            await asyncio.sleep(_LOOK_SECONDS)


def alert_name(name: str, labels: Mapping[str, str]) -> str:
    """What tells a rule from others of the same alert: its window, its aspect, else its severity."""
    return f"{name}/{next((labels[one] for one in _TOLD_APART if one in labels), labels['severity'])}"
