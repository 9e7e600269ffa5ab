"""What the daemon asks of a person: one row each, in words, with the purpose and the provider it is about."""

from grafana.dashboards.queries import PROVIDER_KEY, PURPOSE, RANGE, in_state, named, select

CREDIT_USD = 5
CERTIFICATE_DAYS = 14
NOTHING = "-"


def asked() -> str:
    """One series for each thing asked, with the labels asked, purpose and name."""
    return " or ".join((*_about_purposes(), *_about_providers(), *_about_daemons()))


def asked_count() -> str:
    """How many things are asked."""
    return f"count({asked()}) or vector(0)"


def _about_purposes() -> tuple[str, ...]:
    pinned = f"{select('purpose_pinned', PURPOSE)} == 1"
    unfit = f"{in_state('down', 'blocked')} == 1"
    active_unfit = f"{select('active_provider', PURPOSE)} and on ({PROVIDER_KEY}, purpose) ({unfit})"
    pinned_unfit = named(f"({active_unfit} and on (job, instance, purpose) ({pinned}))", 'name=~".+"')
    return (
        _row(f"{select('purpose_stranded', PURPOSE)} == 1", "nobody is fit to serve", by="purpose"),
        _row(pinned_unfit, "pinned onto one that is not fit: unpin", by="purpose, name"),
        _row(f"{select('purpose_paused', PURPOSE)} == 1", "paused: resume when done", by="purpose"),
    )


def _about_providers() -> tuple[str, ...]:
    def block(word: str) -> str:
        return named(select("provider_block", f'block="{word}"', PURPOSE))

    ends = select("tls_expires_timestamp_seconds", PURPOSE)
    certificate = f"(({ends} - time()) < {CERTIFICATE_DAYS} * 86400)"
    credit = f"({select('credit_remaining_usd', PURPOSE)} < {CREDIT_USD})"
    return (
        _row(block("auth"), "key refused: renew it", by="purpose, name"),
        _row(block("quota"), "quota or credit used up", by="purpose, name"),
        _row(block("model_missing"), "model gone: name another", by="purpose, name"),
        _row(named(credit), f"less than {CREDIT_USD} USD of credit left", by="name"),
        _row(named(certificate), f"certificate ends within {CERTIFICATE_DAYS} days", by="name"),
    )


def _about_daemons() -> tuple[str, ...]:
    return (
        _row(f"{select('config_problems')} > 0", "rows are skipped: llm-monitor status names them"),
        _row(f"{select('store_up')} == 0", "the database is away: nothing moves"),
        _row(f"increase({select('results_dropped_total')}{RANGE}) > 0", "results were lost"),
        _row(f"absent({select('daemon_active')} == 1)", "no daemon acts: nobody watches"),
    )


def _row(expr: str, asked: str, *, by: str = "") -> str:
    found = f"max by ({by}) ({expr})"
    # An empty cell would show what the empty table says.
    for label in ("purpose", "name"):
        if label not in by.split(", "):
            found = f'label_replace({found}, "{label}", "{NOTHING}", "", "")'
    return f'label_replace({found}, "asked", "{asked}", "", "")'
