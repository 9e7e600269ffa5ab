"""A status as a person reads it."""

from monitor.cli.console import age, plain, seconds, show_table
from monitor.cli.status_report import Uptimes, bad_news, is_alive, uptime_rows
from monitor.domain.eligibility import Block
from monitor.domain.provider import ProviderRef
from monitor.domain.uptime import SPANS
from monitor.storage.status import Belief, ProviderStatus, PurposeStatus, Status
from monitor.storage.status_words import (
    effective,
    find_provider,
    in_maintenance,
    is_held,
    is_pinned,
    purpose_health,
)

DAEMON_HEADERS = ("ROLE", "PROCESS", "VERSION", "LISTENS AT", "UP", "HEARTBEAT")
PURPOSE_HEADERS = ("PURPOSE", "HEALTH", "SERVED BY", "SINCE", "FALLBACK")
PROVIDER_HEADERS = ("PROVIDER", "PURPOSE", "HEALTH", "LAST PROBE", "LATENCY")
UPTIME_HEADERS = ("PURPOSE", "WHO", *(name.upper() for name in SPANS))
MOVE_HEADERS = ("WHEN", "PURPOSE", "RULE", "FROM > TO", "REASON")
FIRST_STEPS = """\
Nothing is configured yet. Three ways to begin:
  llm-monitor run --adopt-env   takes up keys of the environment and servers that answer on this machine
  SQL                           rows in ai_servers or llm_api_keys, then one a purpose in active_providers
  llm-monitor run --demo        shows a failover on two local servers, in a data folder of its own
"""
NOBODY_SERVES = """\
No purpose has a provider yet. Say who serves, and who is next; the daemon sees it at once:
  INSERT INTO active_providers
    (purpose, provider_type, provider_id, fallback_provider_type, fallback_provider_id)
  VALUES ('chat', 'ai_server', 1, 'api_key', 1);
"""


def show(status: Status, database: str, uptimes: Uptimes | None = None) -> None:
    """Print everything.

    Args:
        status: as it was read.
        database: how to reach the database, without a password.
        uptimes: left out when they were not read.
    """
    news = bad_news(status)
    for line in news:
        print(f"BAD NEWS: {plain(line)}")
    if not news:
        print("Every purpose is served." if status.purposes else "The daemon runs.")
    print()
    if status.daemons:
        show_table("daemons", DAEMON_HEADERS, _daemons(status))
    if status.purposes:
        show_table("purposes", PURPOSE_HEADERS, [purpose_row(status, one) for one in status.purposes])
    if status.providers:
        rows = [row for one in status.providers for row in provider_rows(status, one)]
        show_table("providers", PROVIDER_HEADERS, rows)
    if uptimes is not None and (up := uptime_rows(status, uptimes)):
        show_table("up, of the time that is known", UPTIME_HEADERS, up)
    if status.transitions:
        show_table("last moves", MOVE_HEADERS, move_rows(status))
    _show_lines("to look at", find_notes(status))
    if not status.providers:
        print(FIRST_STEPS)
    elif not status.purposes:
        print(NOBODY_SERVES)
    print(f"database: {plain(database)}")


def _show_lines(title: str, lines: list[str]) -> None:
    if lines:
        print(title)
        for line in lines:
            print(f"  {plain(line)}")
        print()


def find_notes(status: Status) -> list[str]:
    """What no column has room for: wishes of operators, blocks and warnings, bad rows."""
    found = [f"{one.purpose}: {note}" for one in status.purposes for note in _purpose_notes(status, one)]
    for provider in status.providers:
        found += [
            f"{provider.ref} ({provider.name}): {note}" for note in _maintenance_notes(status, provider)
        ]
        for belief in provider.beliefs if provider.enabled else ():
            notes = [note for note in _belief_notes(status, belief) if note]
            if notes:
                found.append(
                    f"{provider.ref} ({provider.name}), {belief.purpose or 'none'}: {'; '.join(notes)}"
                )
    return found + [f"{one.message} (since {age(status.as_of - one.since)})" for one in status.problems]


def _daemons(status: Status) -> list[tuple[str, ...]]:
    return [
        (
            one.role if is_alive(one) else f"silent ({one.role})",
            f"{one.host}:{one.pid}",
            one.version,
            one.listen,
            age(status.as_of - one.started_at),
            f"{age(one.silent)} ago",
        )
        for one in status.daemons
    ]


def purpose_row(status: Status, purpose: PurposeStatus) -> tuple[str, ...]:
    """A purpose under `PURPOSE_HEADERS`."""
    since = "-" if purpose.since is None else f"{age(status.as_of - purpose.since)} ({purpose.rule})"
    return (
        purpose.purpose,
        "stranded" if purpose.stranded_since else purpose_health(status, purpose),
        _named(status, purpose.active),
        since,
        "-" if purpose.fallback is None else str(purpose.fallback),
    )


def _purpose_notes(status: Status, purpose: PurposeStatus) -> list[str]:
    notes = [
        f"stranded for {age(status.as_of - purpose.stranded_since)}" if purpose.stranded_since else "",
        "paused by an operator" if purpose.paused else "",
        _pin(status, purpose),
        _hold(status, purpose),
        "" if purpose.is_seen else "no daemon has seen this row yet",
        "" if purpose.fallback else "no fallback is named: nobody would take over",
    ]
    return [note for note in notes if note]


def _hold(status: Status, purpose: PurposeStatus) -> str:
    if not is_held(purpose, status.as_of):
        return ""
    until = f" until {purpose.held_until:%Y-%m-%d %H:%M} UTC" if purpose.held_until else ""
    return f"promoted by an operator: no return by itself{until} (llm-monitor unpin {purpose.purpose})"


def _maintenance_notes(status: Status, provider: ProviderStatus) -> list[str]:
    span = provider.maintenance
    if span is None:
        return []
    until = f" until {span.until:%Y-%m-%d %H:%M} UTC" if span.until else ""
    begin = (
        "in maintenance"
        if span.holds(status.as_of)
        else f"maintenance from {span.since:%Y-%m-%d %H:%M} UTC on"
    )
    return [f"{begin}{until} ({provider.maintenance_by})"]


def _pin(status: Status, purpose: PurposeStatus) -> str:
    if purpose.pinned is None or not is_pinned(purpose, status.as_of):
        return ""
    until = f" until {purpose.pinned_until:%Y-%m-%d %H:%M} UTC" if purpose.pinned_until else ""
    return f"pinned to {purpose.pinned}{until}"


def _named(status: Status, ref: ProviderRef | None) -> str:
    if ref is None:
        return "-"
    provider = find_provider(status, ref)
    return f"{ref} {provider.name}" if provider else f"{ref} (deleted)"


def provider_rows(status: Status, provider: ProviderStatus) -> list[tuple[str, ...]]:
    """A provider's targets under `PROVIDER_HEADERS`."""
    who = f"{provider.ref} {provider.name}"
    if not provider.enabled:
        return [(who, "-", "disabled", "-", "-")]
    if not provider.beliefs:
        return [(who, "-", "unknown", "not yet", "-")]
    away = in_maintenance(provider, status.as_of)
    return [(who, *_belief(status, one, away=away)) for one in provider.beliefs]


def _belief(status: Status, belief: Belief, *, away: bool) -> tuple[str, ...]:
    probed_at, outcome = belief.last_started_at, belief.last_outcome
    if belief.purpose is None:
        probed_at, outcome = belief.light_started_at, belief.light_outcome
    return (
        belief.purpose or "none",
        "maintenance" if away else effective(belief, status.as_of),
        "-" if probed_at is None else f"{outcome or 'no verdict'}, {age(status.as_of - probed_at)} ago",
        seconds(belief.result.latency_seconds),
    )


def _belief_notes(status: Status, belief: Belief) -> list[str]:
    stale = belief.stale_at is not None and belief.stale_at <= status.as_of
    return [
        *(f"blocked: {block}" for block in belief.blocks if block is not Block.MAINTENANCE),
        *(f"warning: {warning}" for warning in belief.warnings),
        "no recent result" if stale else "",
        belief.result.detail,
    ]


def move_rows(status: Status) -> list[tuple[str, ...]]:
    """The last moves under `MOVE_HEADERS`."""
    return [
        (
            f"{age(status.as_of - one.decided_at)} ago",
            one.purpose,
            one.rule,
            f"{one.left_name or one.left or '-'} > {one.onto_name or one.onto or '-'}",
            one.reason,
        )
        for one in status.transitions
    ]
