"""Take up what operators did by command or by API, by the clock of whoever decides."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.target import TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.jobs.pending import Pending
from monitor.storage.purposes import PurposeState, take_acts

log = structlog.get_logger()

A_LITTLE = 0.01


class TakeActs:
    """They are in the tables already. What is left is when: compared with the instants of our own probes."""

    def __init__(
        self,
        *,
        beliefs: Beliefs,
        pending: Pending,
        probe_now: Callable[[TargetId], None],
        now: Callable[[], datetime],
    ) -> None:
        self._beliefs = beliefs
        self._pending = pending
        self._probe_now = probe_now
        self._now = now
        self._away: set[ProviderRef] = set()

    async def take(self, connection: Any, states: Mapping[Purpose, PurposeState]) -> bool:
        """Take up every act that nobody has taken up.

        Args:
            connection: the leader's.
            states: as they were read with the rows, at one instant.

        Returns:
            False when there has been another one meanwhile: read everything anew.
        """
        for purpose, state in states.items():
            known = self._beliefs.purposes.get(purpose)
            if state.act > state.act_taken:
                taken = self._dated(state)
                if not await take_acts(connection, taken):
                    return False
                self._tell(known, taken)
                self._beliefs.purposes[purpose] = replace(taken, act_taken=state.act)
            elif known is None or known.act != state.act:
                self._beliefs.purposes[purpose] = state
        return True

    def note_maintenance(self) -> None:
        """Tell who goes out of service and who comes back, and have what is believed of them written anew."""
        now = self._now()
        away = {ref for ref in self._beliefs.maintenance if self._beliefs.in_maintenance(ref, now)}
        for ref in sorted(away ^ self._away):
            name = self._beliefs.names.get(ref)
            if ref in away:
                row = self._beliefs.maintenance[ref]
                until = row.span.until.isoformat() if row.span.until else None
                log.warning(
                    "maintenance_began",
                    provider=str(ref),
                    name=name,
                    until=until,
                    by=row.user_id,
                    why=row.reason,
                )
            else:
                log.info("maintenance_ended", provider=str(ref), name=name)
            for id_ in self._beliefs.targets:
                if id_.provider == ref:
                    self._pending.mark(id_)
        self._away = away

    def seconds_left(self, most: float) -> float:
        """How long until time alone changes what is shown of an operator's acts; `most` if it is longer."""
        now = self._now()
        instants = [row.span.next_change(now) for row in self._beliefs.maintenance.values()]
        for state in self._beliefs.purposes.values():
            instants += [state.pinned_until, state.held_until]
        left = [(one - now).total_seconds() + A_LITTLE for one in instants if one is not None and one > now]
        return min([most, *left])

    def _dated(self, state: PurposeState) -> PurposeState:
        now = self._now()
        return replace(
            state,
            chosen_at=now if state.chosen_act > state.act_taken else state.chosen_at,
            ordered_at=now if state.ordered_act > state.act_taken else state.ordered_at,
        )

    def _tell(self, before: PurposeState | None, state: PurposeState) -> None:
        active = state.seen.active if state.seen else None
        log.info(
            "operator_acted",
            purpose=str(state.purpose),
            act=state.act,
            active=str(active) if active else None,
            generation=state.generation,
            paused=state.paused,
            pinned=str(state.pinned) if state.pinned else None,
            held=state.held,
        )
        if active is not None and (before is None or before.seen is None or before.seen.active != active):
            self._probe_now(TargetId(provider=active, purpose=state.purpose))
