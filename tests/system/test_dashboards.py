"""Every query of the dashboards and every rule has its data, at the moment of an outage when it should."""

import asyncio
import itertools
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.system.moments import ALERTS, LATER, OTHERS, RECORDED_LATER, Moment
from tests.system.onlooker import Onlooker, Place, Values, alert_name
from tests.system.outage import EMBEDDER, HOSTED, ODD, Outage, outage
from tests.system.quick_rules import RULES

SPAN_SECONDS = 400
VARIABLES = {
    "job": "llm-monitor",
    "instance": ".+",
    "purpose": ".+",
    "provider": ".+",
    "window": "20s",
    "percentile": "0.95",
    "__rate_interval": "4s",
    "__range": f"{SPAN_SECONDS}s",
    "__range_s": str(SPAN_SECONDS),
}
WHO: Place = ("overview", "Who serves", "A")
STANDS: Place = ("overview", "Who serves", "C")
ASKED: Place = ("overview", "What is asked of you", "A")
HEALTH: Place = ("overview", "Providers", "A")
MOVES: Place = ("failover", "Moves", "A")
BY_RULE: Place = ("failover", "Moves by rule", "A")
GENERATION: Place = ("failover", "Generation", "A")
ROLE: Place = ("daemon", "Role", "A")
CERTIFICATE = ("certificate ends within 14 days", "-", HOSTED)
RULES_THAT_MOVE = ("fail_over", "fail_back", "call_for_help")
LEFT_ALONE: Values = {("embeddings", EMBEDDER): 1.0}


def rules(name: str, kind: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((RULES / name).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


class Story:
    """The outage and who looks at it."""

    def __init__(self, world: Outage) -> None:
        self.world = world
        self.looker = Onlooker(world.prometheus, VARIABLES, HOSTED, OTHERS)

    async def at(self, moment: Moment) -> None:
        """Wait until everything that has its data for the first time now has it."""
        looker = self.looker
        await looker.until_seen([place for place, when in LATER.items() if when is moment])
        await looker.until_recorded([name for name, when in RECORDED_LATER.items() if when is moment])
        await looker.until_alerts([name for name, when in ALERTS.items() if when is moment])

    async def asks(self, *rows: tuple[str, str, str]) -> None:
        """Wait until these are asked of a person, among others."""

        def are_asked(found: Mapping[tuple[str, ...], float]) -> bool:
            return set(rows) <= found.keys()

        await self.looker.until_values(ASKED, "asked", "purpose", "name", holds=are_asked)

    async def is_believed(self, health: float, *names: str) -> None:
        """Wait until this is believed of these; a number of the words for health."""

        def are_believed(found: Mapping[tuple[str, ...], float]) -> bool:
            return all(found.get((name, "chat")) == health for name in names)

        await self.looker.until_values(HEALTH, "name", "purpose", holds=are_believed)

    async def serves(self, name: str) -> None:
        await self.looker.until_shows(WHO, ("purpose", "name"), {("chat", name): 1.0} | LEFT_ALONE)

    async def counts(self, by_rule: Mapping[str, int]) -> None:
        """Every move is counted once, wherever it is counted."""
        generation = 1 + sum(by_rule.values())
        shows = self.looker.until_shows
        await shows(GENERATION, ("purpose",), {("chat",): generation, ("embeddings",): 1})
        await shows(MOVES, ("purpose",), {("chat",): generation - 1, ("embeddings",): 0})
        counted: Values = {
            (purpose, rule): 0.0 for purpose in ("chat", "embeddings") for rule in RULES_THAT_MOVE
        }
        await shows(
            BY_RULE,
            ("purpose", "rule"),
            counted | {("chat", rule): float(count) for rule, count in by_rule.items()},
        )


def test_each_rule_has_its_moment() -> None:
    alerts = {alert_name(rule["alert"], rule["labels"]) for rule in rules("alerts.yaml", "alert")}
    assert ALERTS.keys() == alerts
    assert RECORDED_LATER.keys() <= {rule["record"] for rule in rules("recording.yaml", "record")}


@pytest.mark.timeout(400)
async def test_every_query_and_every_rule_has_its_data_when_it_should(
    open_folder: Path, tmp_path: Path
) -> None:
    began = time.time()
    async with outage(open_folder, tmp_path) as world:
        story = Story(world)
        async with story.looker.watching():
            assert LATER.keys() <= story.looker.places.keys()
            await begins(story)
            await calm(story)
            worse = asyncio.create_task(grows_worse(story))
            try:
                await troubled(story)
                await fails_over_and_back(story)
                await stranded(story)
                await worse
            finally:
                worse.cancel()
                await asyncio.gather(worse, return_exceptions=True)
            await database_away(story)
            await stalled(story)
            await taken_over(story)
            await told_over_time(story, began)


async def begins(story: Story) -> None:
    world, looker = story.world, story.looker
    await looker.until_shows(("overview", "Daemons that act", "A"), (), {(): 0.0})
    await story.asks(("no daemon acts: nobody watches", "-", "-"))
    await story.at(Moment.NOBODY)

    await world.start_daemon()
    await looker.until_shows(("overview", "Database", "A"), (), {(): 0.0})
    await story.at(Moment.BLIND)

    await world.postgres.start()
    await story.at(Moment.STARTED)
    world.servers["mute"].play(None)
    await world.all_up()


async def calm(story: Story) -> None:
    """All that may have data in the calm has it, and nothing else has."""
    looker = story.looker
    await looker.until_seen(looker.places.keys() - LATER.keys())
    await looker.until_recorded(
        {rule["record"] for rule in rules("recording.yaml", "record")} - RECORDED_LATER.keys()
    )
    for place in LATER:
        await looker.until_values(place, holds=lambda found: not found)
    lasting = {name for name, when in ALERTS.items() if when is Moment.CALM}
    # A bound of five seconds is one of fifty milliseconds here, and says more of the machine.
    await looker.until_alerts_are(lasting, but_for="LLMMonitorProbesLate/warning")
    for board, panel, expected in (
        ("overview", "Asked of you", 1.0),
        ("overview", "Purposes nobody serves", 0.0),
        ("overview", "Providers broken", 0.0),
        ("overview", "Daemons that act", 1.0),
        ("overview", "Database", 1.0),
        ("overview", "Moves", 0.0),
        ("daemon", "Rows that are skipped", 0.0),
        ("daemon", "Results lost", 0.0),
    ):
        await looker.until_shows((board, panel, "A"), (), {(): expected})
    await looker.until_names(ASKED, ("asked", "purpose", "name"), {CERTIFICATE})
    await story.serves("gpu-1")
    await looker.until_values(HEALTH, "name", "purpose", holds=lambda found: {*found.values()} == {1.0})
    await looker.until_shows(STANDS, ("purpose",), {("chat",): 0.0, ("embeddings",): 0.0})
    await story.counts({})


async def grows_worse(story: Story) -> None:
    """One becomes slow, one begins to stumble, an account runs dry: each against its own past."""
    world, looker = story.world, story.looker
    spending = asyncio.create_task(world.spend())
    try:
        await looker.until_recorded(RECORDED_LATER)
        world.servers["slow"].play("slow_first_token", seconds=1)
        await world.stumble("shaky", 5)
        await story.at(Moment.WORSE)
        await story.asks(("less than 5 USD of credit left", "-", HOSTED))
    finally:
        spending.cancel()
        await asyncio.gather(spending, return_exceptions=True)


async def troubled(story: Story) -> None:
    world, looker = story.world, story.looker
    for name, fault in (
        ("refused", "401"),
        ("spent", "402"),
        ("gone", "404_model"),
        (HOSTED, "429_seconds"),
    ):
        world.servers[name].play(fault)
    await world.add_server(ODD)
    await world.refuse_results(ODD)
    await world.execute(
        "INSERT INTO ai_servers (name, server_type, base_url) VALUES ('x', 'vllm', 'ftp://x')"
    )
    await world.act("purposes/embeddings/pause", reason="a test")
    while "LLMRequestsFail/warning" not in looker.alerts:
        await world.report_failures("mute", 40)
        await asyncio.sleep(1)
    await story.at(Moment.TROUBLED)
    await story.asks(
        ("key refused: renew it", "chat", "refused"),
        ("quota or credit used up", "chat", "spent"),
        ("model gone: name another", "chat", "gone"),
        ("rows are skipped: llm-monitor status names them", "-", "-"),
        ("results were lost", "-", "-"),
        ("paused: resume when done", "embeddings", "-"),
    )
    await looker.until_shows(STANDS, ("purpose",), {("chat",): 0.0, ("embeddings",): 1.0})
    await story.is_believed(3.0, "refused", "spent", "gone")
    await looker.until_shows(("provider", "Blocks", "A"), ("purpose", "block"), {("chat", "auth"): 1.0})
    await story.serves("gpu-1")
    world.servers[HOSTED].play("500")
    await world.take_results()


async def fails_over_and_back(story: Story) -> None:
    world, looker = story.world, story.looker
    await world.act("purposes/embeddings/resume")
    await world.act("purposes/embeddings/pin", to=world.ids[EMBEDDER])
    world.servers[EMBEDDER].play("500")
    world.servers["gpu-1"].play("500")
    by_rule = await world.moved(1, "gpu-2")
    assert by_rule.keys() == {"fail_over"}
    await story.serves("gpu-2")
    await story.is_believed(4.0, "gpu-1")
    await story.at(Moment.FAILED_OVER)
    await looker.until_names(("failover", "annotation", "Moves"), ("purpose", "name"), {("chat", "gpu-2")})
    for panel in ("Median time to leave", "Slowest time to leave"):
        seconds = await looker.until_values(("failover", panel, "A"), "purpose", holds=bool)
        assert seconds.keys() == {("chat",)}
        assert 0 < seconds["chat",] < 30, panel
    await story.counts(by_rule)
    await story.asks(("pinned onto one that is not fit: unpin", "embeddings", EMBEDDER))
    await looker.until_shows(STANDS, ("purpose",), {("chat",): 0.0, ("embeddings",): 3.0})

    world.servers["gpu-1"].play(None)
    by_rule = await world.moved(2, "gpu-1")
    assert by_rule.keys() == {"fail_over", "fail_back"}
    await story.serves("gpu-1")
    await story.counts(by_rule)


async def stranded(story: Story) -> None:
    world, looker = story.world, story.looker
    for name in ("gpu-1", "gpu-2"):
        world.servers[name].play("500")
    await world.leader.event("purpose_stranded")
    await looker.until_shows(("overview", "Purposes nobody serves", "A"), (), {(): 1.0})
    await story.asks(("nobody is fit to serve", "chat", "-"))
    await looker.until_shows(STANDS, ("purpose",), {("chat",): 4.0, ("embeddings",): 3.0})
    await looker.until_names(("overview", "annotation", "Stranded"), ("purpose",), {("chat",)})
    served = ("overview", "Was somebody serving?", "A")
    await looker.until_shows(served, ("purpose",), {("chat",): 0.0, ("embeddings",): 0.0})
    await story.at(Moment.STRANDED)

    world.servers["gpu-2"].play(None)
    await world.moved(3, "gpu-2")
    world.servers["gpu-1"].play(None)
    by_rule = await world.moved(4, "gpu-1")
    await story.at(Moment.RETURNED)
    await story.serves("gpu-1")
    await looker.until_shows(("overview", "Purposes nobody serves", "A"), (), {(): 0.0})
    await looker.until_names(("overview", "annotation", "Stranded"), ("purpose",), set())
    await story.counts(by_rule)


async def database_away(story: Story) -> None:
    world, looker = story.world, story.looker
    looker.forget()
    await world.postgres.kill()
    await looker.until_shows(("overview", "Database", "A"), (), {(): 0.0})
    await story.asks(("the database is away: nothing moves", "-", "-"))
    await story.at(Moment.AWAY)
    waiting = ("daemon", "Results that wait to be stored", "A")
    await looker.until_values(waiting, holds=lambda found: any(count > 10 for count in found.values()))

    await world.postgres.start()
    await looker.until_shows(("overview", "Database", "A"), (), {(): 1.0})
    await looker.until_values(waiting, holds=lambda found: any(count < 10 for count in found.values()))
    await story.serves("gpu-1")
    await story.counts(await world.moved(4, "gpu-1"))


async def stalled(story: Story) -> None:
    for _ in range(20):
        await story.world.stall(0.6)
        await asyncio.sleep(1.2)
        if "LLMMonitorProbesLate/warning" in story.looker.alerts:
            break
    await story.at(Moment.STALLED)


async def taken_over(story: Story) -> None:
    world, looker = story.world, story.looker
    first, second = (f"127.0.0.1:{port}" for port in world.ports)
    standby = await world.start_daemon()
    await standby.event("standing_by")
    await looker.until_shows(ROLE, ("instance",), {(first,): 1.0, (second,): 0.0})
    await looker.until_shows(("overview", "Daemons that act", "A"), (), {(): 1.0})
    await looker.until_names(("daemon", "Running programs", "A"), ("instance",), {(first,), (second,)})

    moves = await world.moved(4, "gpu-1")
    await world.leader.stop(signal.SIGKILL)
    await looker.until_shows(ROLE, ("instance",), {(second,): 1.0})
    await looker.until_shows(
        ("daemon", "Reached and acting, over time", "A"), ("instance",), {(first,): 0.0, (second,): 2.0}
    )
    # A takeover is no move: whoever served goes on, and nothing is counted anew.
    await story.serves("gpu-1")
    await story.counts(moves)


async def told_over_time(story: Story, began: float) -> None:
    """What the whole time looks like: each query over it, who served when, and a mark for each move."""
    looker, now = story.looker, time.time()
    for place, query in looker.places.items():
        if not query.instant:
            assert await looker.curves(looker.expression(place), began, now), place
    served = [
        (at, curve["metric"]["name"])
        for curve in await looker.curves(looker.expression(("failover", "Who served when", "A")), began, now)
        if curve["metric"]["purpose"] == "chat"
        for at, _ in curve["values"]
    ]
    runs = [name for name, _ in itertools.groupby(name for _, name in sorted(served))]
    assert runs == ["gpu-1", "gpu-2", "gpu-1", "gpu-2", "gpu-1"]

    # Moves here are seconds apart, which are minutes elsewhere.
    marks = looker.expression(("failover", "annotation", "Moves")).replace("[3m]", "[4s]")
    marks = marks.replace("offset 2m", "offset 2s")
    found: dict[str, int] = {}
    for curve in await looker.curves(marks, began, now):
        instants = [at for at, _ in curve["values"]]
        gaps = [later - at for at, later in itertools.pairwise(instants)]
        found[curve["metric"]["name"]] = 1 + sum(gap > 1 for gap in gaps)
    assert found == {"gpu-1": 2, "gpu-2": 2}
