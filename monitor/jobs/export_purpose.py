"""Show in the metrics who serves a purpose, and whether he does."""

from datetime import datetime

from monitor.domain.provider import Purpose
from monitor.domain.serving import answers
from monitor.domain.target import TargetId
from monitor.jobs.beliefs import Beliefs
from monitor.metrics import Metrics
from monitor.storage.purposes import AUTOMATIC, PurposeState


def export_purpose(beliefs: Beliefs, metrics: Metrics, purpose: Purpose, now: datetime) -> None:
    """Show the state of a purpose; whenever anything of it has changed."""
    state = beliefs.purposes.get(purpose)
    if state is None:
        metrics.remove_purpose(purpose)
        return
    active = state.seen.active if state.seen else None
    target = beliefs.targets.get(TargetId(provider=active, purpose=purpose)) if active else None
    metrics.set_purpose(
        purpose,
        active=active,
        provider=target.provider if target else None,
        generation=state.generation,
        stranded=state.stranded_since is not None,
        pinned=state.pinned is not None and (state.pinned_until is None or state.pinned_until > now),
        paused=state.paused,
        failed_over=_failed_over(beliefs, state),
        serving=_serving(beliefs, purpose, now),
    )


def _failed_over(beliefs: Beliefs, state: PurposeState) -> bool:
    order = beliefs.preference(state.purpose)
    away = state.seen is not None and bool(order) and state.seen.active != order[0]
    return away and state.rule in set(AUTOMATIC)


def _serving(beliefs: Beliefs, purpose: Purpose, now: datetime) -> bool | None:
    active = beliefs.active(purpose)
    if active is None:
        return None
    if active in beliefs.gone_since:
        return False
    health = beliefs.healths.get(TargetId(provider=active, purpose=purpose))
    return None if health is None else answers(health, now)
