"""A status as a person reads it."""

from monitor.cli.console import age, plain, seconds, show_table
from monitor.cli.status_report import (
    bad_news,
    effective,
    find_provider,
    is_alive,
    is_pinned,
    purpose_health,
)
from monitor.domain.provider import ProviderRef
from monitor.storage.status import Belief, ProviderStatus, PurposeStatus, Status

PURPOSE_HEADERS = ("PURPOSE", "HEALTH", "SERVED BY", "SINCE", "BY RULE", "FALLBACK", "NOTES")
PROVIDER_HEADERS = ("PROVIDER", "NAME", "PURPOSE", "HEALTH", "LAST PROBE", "LATENCY", "TTFT", "NOTES")
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


def show(status: Status, database: str, *, embedded: bool) -> None:
    """Print everything.

    Args:
        status: as it was read.
        database: how to reach the database, without a password.
        embedded: it is the daemon's own.
    """
    news = bad_news(status)
    for line in news:
        print(f"BAD NEWS: {plain(line)}")
    if not news:
        print("All is well." if status.purposes else "The daemon runs.")
    print()
    if status.daemons:
        show_table(
            "daemons", ("ROLE", "PROCESS", "VERSION", "LISTENS AT", "UP", "HEARTBEAT"), _daemons(status)
        )
    if status.purposes:
        show_table("purposes", PURPOSE_HEADERS, [_purpose(status, one) for one in status.purposes])
    if status.providers:
        show_table(
            "providers", PROVIDER_HEADERS, [row for one in status.providers for row in _provider(status, one)]
        )
    if status.problems:
        rows = [(one.message, f"{age(status.as_of - one.since)} ago") for one in status.problems]
        show_table("problems", ("PROBLEM", "SEEN"), rows)
    if status.transitions:
        show_table("last moves", ("WHEN", "PURPOSE", "RULE", "FROM", "TO", "REASON"), _moves(status))
    if not status.providers:
        print(FIRST_STEPS)
    elif not status.purposes:
        print(NOBODY_SERVES)
    print(f'database: psql "{plain(database)}"' if embedded else f"database: {plain(database)}")


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


def _purpose(status: Status, purpose: PurposeStatus) -> tuple[str, ...]:
    notes = [
        f"for {age(status.as_of - purpose.stranded_since)}" if purpose.stranded_since else "",
        "paused" if purpose.paused else "",
        _pin(status, purpose),
        "" if purpose.is_seen else "no daemon has seen this row yet",
    ]
    return (
        purpose.purpose,
        "stranded" if purpose.stranded_since else purpose_health(status, purpose),
        _named(status, purpose.active),
        "-" if purpose.since is None else age(status.as_of - purpose.since),
        purpose.rule or "-",
        _named(status, purpose.fallback),
        "; ".join(note for note in notes if note),
    )


def _pin(status: Status, purpose: PurposeStatus) -> str:
    if purpose.pinned is None or not is_pinned(purpose, status.as_of):
        return ""
    until = f" until {purpose.pinned_until:%Y-%m-%d %H:%M} UTC" if purpose.pinned_until else ""
    return f"pinned to {purpose.pinned}{until}"


def _named(status: Status, ref: ProviderRef | None) -> str:
    if ref is None:
        return "-"
    provider = find_provider(status, ref)
    return f"{ref} ({provider.name})" if provider else f"{ref} (deleted)"


def _provider(status: Status, provider: ProviderStatus) -> list[tuple[str, ...]]:
    start = (str(provider.ref), provider.name)
    if not provider.enabled:
        return [(*start, "-", "disabled", "-", "-", "-", "")]
    if not provider.beliefs:
        return [(*start, "-", "unknown", "-", "-", "-", "not probed yet")]
    return [(*start, *_belief(status, one)) for one in provider.beliefs]


def _belief(status: Status, belief: Belief) -> tuple[str, ...]:
    probed_at, outcome = belief.last_started_at, belief.last_outcome
    if belief.purpose is None:
        probed_at, outcome = belief.light_started_at, belief.light_outcome
    stale = belief.stale_at is not None and belief.stale_at <= status.as_of
    notes = [
        *(f"blocked: {block}" for block in belief.blocks),
        *(f"warning: {warning}" for warning in belief.warnings),
        "no recent result" if stale else "",
        belief.detail,
    ]
    return (
        belief.purpose or "none",
        effective(belief, status.as_of),
        "-" if probed_at is None else f"{outcome or 'no verdict'}, {age(status.as_of - probed_at)} ago",
        seconds(belief.latency_seconds),
        seconds(belief.ttft_seconds),
        "; ".join(note for note in notes if note),
    )


def _moves(status: Status) -> list[tuple[str, ...]]:
    return [
        (
            f"{age(status.as_of - one.decided_at)} ago",
            one.purpose,
            one.rule,
            "-" if one.left is None else f"{one.left} ({one.left_name or '?'})",
            "-" if one.onto is None else f"{one.onto} ({one.onto_name or '?'})",
            one.reason,
        )
        for one in status.transitions
    ]
