"""Instants as a page shows them: in words, with the exact moment in UTC behind them."""

from datetime import UTC, datetime

from markupsafe import Markup

from monitor.web.page.words import age, clock, exact

NO_MARK = Markup()


def ago(moment: datetime, now: datetime) -> Markup:
    """How long ago an instant was, or in how long it will be; marked, so that a script may count on."""
    words = f"in {age(moment - now)}" if moment > now else f"{age(now - moment)} ago"
    return _time(moment, words, Markup(" data-ago"))


def on(moment: datetime, now: datetime) -> Markup:
    """An instant by the clock, in UTC; with its day where that is not today."""
    return _time(moment, clock(moment, now))


def day(moment: datetime) -> Markup:
    """The day of an instant, in UTC."""
    return _time(moment, f"{moment.astimezone(UTC):%d %b %Y}")


def _time(moment: datetime, words: str, mark: Markup = NO_MARK) -> Markup:
    at = moment.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}"{}>{}</time>').format(
        f"{at:%Y-%m-%dT%H:%M:%SZ}", exact(at), mark, words
    )
