"""Tells busy from dead: a server's own counters, looked at twice while a probe waits."""

from dataclasses import dataclass

from monitor.domain.catalog import BusyCounters
from monitor.probing.fetch import Fetched, Fetcher, key_headers
from monitor.probing.observation import Request

LOOK_SECONDS = 0.6
LOOK_LIMIT = 2 << 20
_PATHS = {BusyCounters.VLLM_METRICS: "/metrics", BusyCounters.LLAMACPP_SLOTS: "/slots"}
_VLLM_COUNTERS = ("vllm:generation_tokens_total", "vllm:prompt_tokens_total", "vllm:request_success_total")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The counters at one moment.

    Attributes:
        marks: whatever moves while the server works.
        full: every slot it has is taken.
    """

    marks: tuple[float, ...]
    full: bool = False


async def look(fetcher: Fetcher, request: Request) -> Look | None:
    """The server's counters now; None when it has none or does not tell in time."""
    counters, root = request.entry.busy_counters, request.entry.root(request.target.base_url)
    if counters is None or root is None:
        return None
    fetched = await fetcher.get(
        root + _PATHS[counters],
        key_headers(request.entry, request.key),
        connect=LOOK_SECONDS,
        whole=LOOK_SECONDS,
        limit=LOOK_LIMIT,
    )
    if not fetched.ok:
        return None
    match counters:
        case BusyCounters.VLLM_METRICS:
            return vllm_look(fetched.body.decode("utf-8", "replace"))
        case BusyCounters.LLAMACPP_SLOTS:
            return slots_look(fetched)


def is_busy(first: Look | None, second: Look | None) -> bool:
    """Whether the server worked between two looks, or has no slot free at the second."""
    if second is None:
        return False
    return second.full or (first is not None and first.marks != second.marks)


def vllm_look(exposition: str) -> Look | None:
    """The sums of vLLM's token counters in its Prometheus text; None when they are not there."""
    sums = dict.fromkeys(_VLLM_COUNTERS, 0.0)
    found = False
    for line in exposition.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name in sums:
            try:
                sums[name] += float(line.rpartition(" ")[2])
            except ValueError:
                return None
            found = True
    return Look(marks=tuple(sums.values())) if found else None


def slots_look(fetched: Fetched) -> Look | None:
    """llama.cpp's slots: which task each works on and how far it is."""
    slots = fetched.document()
    if not isinstance(slots, list) or not slots or not all(isinstance(slot, dict) for slot in slots):
        return None
    marks: list[float] = []
    for slot in slots:
        token = slot.get("next_token")
        token = token[0] if isinstance(token, list) and token else token
        decoded = token.get("n_decoded", 0) if isinstance(token, dict) else 0
        marks += [float(slot.get("id_task") or 0), float(decoded or 0)]
    return Look(marks=tuple(marks), full=all(bool(slot.get("is_processing")) for slot in slots))
