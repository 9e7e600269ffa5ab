"""Decide everything again: recorded results and the journal through the daemon's own functions.

Following the record, every decision is compared with what is recorded, which is then gone on with. Free,
decisions lead where they lead, under whatever policy.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.domain.course import Course
from monitor.domain.failover import decide
from monitor.domain.journal import Entry, EntryKind
from monitor.domain.moments import Moment, moments, reigns
from monitor.domain.outcome import ProbeResult
from monitor.domain.policy import Policy
from monitor.domain.provider import Purpose
from monitor.domain.situation import Action, Decision
from monitor.domain.timeline import Turn

RECORDED_WITHIN = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where deciding again does not lead to what is recorded.

    Attributes:
        at: the instant.
        recorded: the move, the stranding or the failed attempt that is recorded; None when nothing is.
        decided: what the functions say; None when nothing was to be decided then.
    """

    at: datetime
    recorded: Turn | Entry | None
    decided: Decision | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of a replay.

    Attributes:
        course: the purpose at the end, and its timeline.
        follows: whether the record was followed.
        differences: from the record; empty unless it is followed.
        reproduced: the recorded moves that were decided again alike; empty unless the record is followed.
        decision: the last one, or None.
        decided_at: its instant.
    """

    course: Course
    follows: bool
    differences: tuple[Difference, ...]
    reproduced: tuple[Turn, ...]
    decision: Decision | None
    decided_at: datetime | None


def replay(
    purpose: Purpose,
    policy: Policy,
    entries: Sequence[Entry],
    results: Iterable[ProbeResult],
    until: datetime,
    moves: Sequence[Turn] | None = None,
) -> Replayed | None:
    """Go through everything again; None when the journal has nothing to begin with.

    Args:
        purpose: whose.
        policy: to decide by.
        entries: the journal, from a whole entry on, in its order.
        results: deep ones of all its candidates, in the order of their ends.
        until: the end of what is known.
        moves: the automatic ones recorded since the first entry, to follow the record; None to go free.
    """
    if not entries:
        return None
    course = Course(purpose, policy, entries[0].at, until)
    run = _Replay(policy, course, entries, moves)
    run.through(moments(entries, results, run.decided), until)
    return Replayed(
        course=course,
        follows=moves is not None,
        differences=tuple(run.differences),
        reproduced=tuple(run.reproduced),
        decision=run.decision,
        decided_at=run.decided_at,
    )


class _Replay:
    def __init__(
        self, policy: Policy, course: Course, entries: Sequence[Entry], moves: Sequence[Turn] | None
    ) -> None:
        self._policy = policy
        self._course = course
        self._follow = moves is not None
        self._moves = {turn.at: turn for turn in moves or ()}
        self._strandings = {
            entry.at: entry for entry in entries if entry.kind in (EntryKind.STRANDED, EntryKind.RELIEVED)
        }
        self._settled = {entry.decided_at: entry for entry in entries if entry.kind is EntryKind.SETTLED}
        # The last instant of each reign at which it judged: what is reported is noted at any time.
        self._noted = {
            reign: entry.at
            for reign, entry in zip(reigns(entries), entries, strict=True)
            if entry.kind not in (EntryKind.AWAY, EntryKind.REPORTED)
        }
        # Time alone may have made a decision, seen when something else was looked at.
        self.decided = {*self._moves, *self._strandings, *(at for at in self._settled if at is not None)}
        self._reign = 0
        self._known_until = entries[0].at
        self._deadline: datetime | None = None
        self._decides = False
        self._busy = False
        self._muted = False
        self.differences: list[Difference] = []
        self.reproduced: list[Turn] = []
        self.decision: Decision | None = None
        self.decided_at: datetime | None = None

    def through(self, found: Sequence[Moment], until: datetime) -> None:
        self._known_until = found[-1].at
        for moment in found:
            if moment.reign != self._reign:
                # When the one before ended is not known: whatever it waited for did not come.
                self._reign, self._deadline = moment.reign, None
            self._reach(moment.at)
            self._take(moment)
        self._reach(until)

    def _reach(self, at: datetime) -> None:
        """Meet the deadlines before an instant."""
        while self._deadline is not None and self._deadline < at and self._may_judge():
            due, self._deadline = self._deadline, None
            self._judge(due)

    def _may_judge(self) -> bool:
        return self._decides and not self._busy

    def _take(self, moment: Moment) -> None:
        at = moment.at
        looks = self._follow and at in self.decided
        for result in moment.results:
            looks = self._course.observe(result) or looks
        for entry in moment.entries:
            match entry.kind:
                case EntryKind.REIGN | EntryKind.DAY | EntryKind.CHANGE:
                    if entry.kind is EntryKind.REIGN or self._course.facts is None:
                        self._decides, self._busy, self._muted, self._deadline = True, False, False, None
                    self._course.adopt(entry, follow=self._follow)
                    looks = True
                case EntryKind.SETTLED:
                    looks = self._settle(entry) or looks
                case EntryKind.REPORTED:
                    looks = (entry.hearing is not None and self._course.hear(entry.hearing, at)) or looks
                case EntryKind.AWAY:
                    self._decides, self._deadline = False, None
                case EntryKind.STRANDED | EntryKind.RELIEVED:
                    pass
        if looks:
            self._judge(at)

    def _settle(self, entry: Entry) -> bool:
        if self._busy and not entry.done:
            self._deadline = entry.again_at
        self._busy = False
        return entry.done

    def _judge(self, at: datetime) -> None:
        situation = self._course.situation(at) if self._may_judge() else None
        if situation is None:
            self._miss(at)
            return
        decision = decide(situation, at, self._policy)
        self.decision, self.decided_at, self._deadline = decision, at, decision.wake_at
        acts = decision.action not in (Action.KEEP, Action.QUALIFY)
        if self._follow:
            self._compare(decision, at, acts=acts)
        elif acts:
            settled = self._settled.get(at)
            self._busy = settled is not None
            if settled is None or settled.done:
                self._course.act(decision, at)

    def _miss(self, at: datetime) -> None:
        """Nothing could be decided; whatever is recorded nevertheless is gone on with."""
        if self._follow and (at in self._moves or at in self._strandings):
            recorded = self._moves.get(at) or self._strandings[at]
            self.differences.append(Difference(at=at, recorded=recorded, decided=None))
            self._obey(at)

    def _compare(self, decision: Decision, at: datetime, *, acts: bool) -> None:
        move, stranding, settled = self._moves.get(at), self._strandings.get(at), self._settled.get(at)
        recorded = move or stranding or settled
        if recorded is None:
            if acts:
                self._unrecorded(decision, at)
            return
        self._muted = False
        if _alike(decision, move, stranding, settled):
            if move is not None:
                self.reproduced.append(move)
            if move is not None or stranding is not None:
                self._course.act(decision, at)
        else:
            self.differences.append(Difference(at=at, recorded=recorded, decided=decision))
            self._obey(at)
        # Until it is settled; when that is not noted, the daemon has ended in this very moment.
        self._busy = True

    def _unrecorded(self, decision: Decision, at: datetime) -> None:
        noted = self._noted.get(self._reign)
        went_on = noted is not None and noted > at
        ended = self._reign != max(self._noted) or self._known_until - at < RECORDED_WITHIN
        if not went_on and ended:
            # The daemon has ended, or lost its database, before it could record this.
            self._busy = True
        elif not self._muted:
            self._muted = True
            self.differences.append(Difference(at=at, recorded=None, decided=decision))

    def _obey(self, at: datetime) -> None:
        move, stranding = self._moves.get(at), self._strandings.get(at)
        if move is not None:
            self._course.move(move)
        elif stranding is not None:
            since = stranding.at if stranding.kind is EntryKind.STRANDED else None
            self._course.strand(since, stranding.at, stranding.reason, stranding.evidence)


def _alike(decision: Decision, move: Turn | None, stranding: Entry | None, settled: Entry | None) -> bool:
    if move is not None:
        return decision.action is Action.MOVE and (str(decision.rule), decision.to) == (move.rule, move.onto)
    if stranding is not None:
        wanted = Action.STRAND if stranding.kind is EntryKind.STRANDED else Action.RELIEVE
        return decision.action is wanted
    acts = decision.action not in (Action.KEEP, Action.QUALIFY)
    return settled is not None and not settled.done and acts
