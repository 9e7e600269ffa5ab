"""Asks a server for its list of models, with one free GET."""

from datetime import UTC, datetime

from monitor.domain.policy import Policy
from monitor.domain.target import Target
from monitor.probing.deadline import Limits
from monitor.probing.destinations import Destinations
from monitor.probing.fetch import Fetcher
from monitor.probing.light_prober import LightProber
from monitor.probing.observation import Request


async def ask_models(
    target: Target, key: str | None, seconds: float, *, allow_metadata_addresses: bool = False
) -> tuple[str, ...] | None:
    """The names that a server or provider lists; None when it does not answer with a list in time.

    Args:
        target: where to ask, and how.
        key: in plain text, or None.
        seconds: for everything.
        allow_metadata_addresses: an operator's word that those may be spoken to.
    """
    fetcher = Fetcher(Destinations(allow_metadata_addresses=allow_metadata_addresses))
    prober = LightProber(fetcher, lambda: datetime.now(UTC))
    limits = Limits(connect=seconds, first_token=seconds, stall=seconds, whole=seconds)
    try:
        models, _ = await prober.models(Request(target=target, key=key, policy=Policy(), limits=limits))
    finally:
        await fetcher.close()
    return models
