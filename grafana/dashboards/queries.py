"""PromQL that several dashboards ask; every series of the daemon carries the labels job and instance."""

from grafana.dashboards.words import HEALTH

DAEMON = 'job=~"$job",instance=~"$instance"'
"""Of the daemons that were chosen."""

PURPOSE = 'purpose=~"$purpose"'
ANY_PROVIDER = 'name=~"$provider"'
THIS_PROVIDER = 'name="$provider"'
EVERY_PROVIDER = 'name=~".+"'

PROVIDER_KEY = "job, instance, provider_type, provider_id"
"""What tells one provider from another within what one daemon exports."""

WINDOW = "[$window]"
RANGE = "[$__range]"


def select(metric: str, *matchers: str) -> str:
    """A family of the chosen daemons."""
    return f"llm_monitor_{metric}{{{','.join((DAEMON, *matchers))}}}"


def named(expr: str, provider: str = ANY_PROVIDER) -> str:
    """An expression about providers with their names, and only of those that were chosen."""
    info = select("provider_info", provider)
    return f"{expr} * on ({PROVIDER_KEY}) group_left (name) {info}"


def in_state(*states: str) -> str:
    """1 for targets that are in one of these states of health, by state."""
    return select("provider_health", f'state=~"{"|".join(states)}"', PURPOSE)


def serving(provider: str = ANY_PROVIDER, by: str = "purpose, name") -> str:
    """1 for who serves, by purpose and name."""
    return f"max by ({by}) ({named(select('active_provider', PURPOSE), provider)})"


def health(provider: str = ANY_PROVIDER, by: str = "purpose, name") -> str:
    """The health of targets as a number of `HEALTH`; the worst where `by` joins several."""
    states = " or ".join(f"{value:g} * ({in_state(word.text)} == 1)" for value, word in HEALTH.items())
    return f"max by ({by}) ({named(f'({states})', provider)})"


def served() -> str:
    """1 while the one that serves a purpose is up, 0 while it is down or blocked; nothing while unknown."""
    key = f"{PROVIDER_KEY}, purpose"
    active = select("active_provider", PURPOSE)
    up = f"{active} * on ({key}) group_left () {in_state('up')}"
    return f"max by (purpose) ({up} unless on ({key}) ({in_state('unknown')} == 1))"


def served_share() -> str:
    """The share of the time in which a purpose was served, where it is known."""
    return f"avg_over_time(({served()})[$__range:])"


def moves(by: str = "job, purpose") -> str:
    """How often each purpose was moved within the range, an operator's moves included.

    The generation is stored and goes on where it was, so that neither a restart nor another daemon counts.
    """
    generation = select("active_generation", PURPOSE)
    newest = f"max by ({by}) (max_over_time({generation}{RANGE}))"
    return f"{newest} - min by ({by}) (min_over_time({generation}{RANGE}))"


def failed_share(by: str, provider: str = ANY_PROVIDER) -> str:
    """The share of deep probes in the window that were no pass, of those that say something."""
    silent = 'outcome!~"busy|probe_invalid|indeterminate"'

    def count(outcome: str) -> str:
        probes = select("probes_total", 'kind="deep"', outcome, PURPOSE)
        return f"sum by ({by}) ({named(f'increase({probes}{WINDOW})', provider)})"

    passed, told = count('outcome="ok"'), count(silent)
    # Without a single pass there is no series of passes, and that is a share of 1.
    return f"1 - ({passed} or 0 * {told}) / ({told} > 0)"


def quantile(share: str, family: str, by: str, *matchers: str, provider: str = ANY_PROVIDER) -> str:
    """A quantile of a histogram about targets, over the window."""
    buckets = select(f"{family}_bucket", *matchers, PURPOSE)
    return f"histogram_quantile({share}, sum by ({by}, le) ({named(f'rate({buckets}{WINDOW})', provider)}))"


def latency(share: str, by: str = "name", provider: str = ANY_PROVIDER) -> str:
    """A quantile of how long deep probes took."""
    return quantile(share, "probe_duration_seconds", by, 'kind="deep"', provider=provider)


def first_token(share: str, by: str = "name", provider: str = ANY_PROVIDER) -> str:
    """A quantile of how long deep probes waited for the first token."""
    return quantile(share, "probe_ttft_seconds", by, provider=provider)


def standing() -> str:
    """How a purpose stands, as a number of `STANDING`."""
    pinned, key = select("purpose_pinned", PURPOSE), f"{PROVIDER_KEY}, purpose"
    pinned_unfit = (
        f"{pinned} == 1 and on (job, instance, purpose) "
        f"({select('active_provider', PURPOSE)} and on ({key}) ({in_state('down', 'blocked')} == 1))"
    )
    parts = (
        f"0 * {pinned}",
        f"1 * ({select('purpose_paused', PURPOSE)} == 1)",
        f"2 * ({pinned} == 1)",
        f"3 * ({pinned_unfit})",
        f"4 * ({select('purpose_stranded', PURPOSE)} == 1)",
    )
    marked = (f'label_replace({part}, "part", "{number}", "", "")' for number, part in enumerate(parts))
    return f"max by (purpose) ({' or '.join(marked)})"
