"""What an exception of a call says of the provider, whichever library raised it.

None of those is imported: a class is known by its name and its package's, and what libraries wrap is
looked for among the causes. Whatever is the caller's own (a 4xx, a full pool, a cancellation, a programming
error) says nothing of the provider.
"""

import asyncio
import errno
from collections.abc import Iterator
from functools import lru_cache

from monitor.domain.classification import Evidence, Fault, classify
from monitor.domain.outcome import Outcome
from monitor.domain.reports import ReportOutcome
from monitor.domain.target import ProbeKind

MOST_CAUSES = 20
TEXT_LENGTH = 500

OWN = "own"
"""The caller's own fault."""
ANSWERED = "answered"
"""The provider answered with a status, which is what counts then."""

KNOWN: dict[str, Fault | str] = {
    "builtins.ConnectionRefusedError": Fault.REFUSED,
    "builtins.ConnectionError": Fault.RESET,
    "builtins.TimeoutError": Fault.TIMEOUT,
    "socket.gaierror": Fault.DNS,
    "ssl.SSLError": Fault.TLS,
    "httpx.ConnectTimeout": Fault.CONNECT_TIMEOUT,
    "httpx.PoolTimeout": OWN,
    "httpx.TimeoutException": Fault.TIMEOUT,
    "httpx.LocalProtocolError": OWN,
    "httpx.RemoteProtocolError": Fault.RESET,
    "httpx.ConnectError": Fault.NETWORK,
    "httpx.NetworkError": Fault.RESET,
    "httpx.ProxyError": Fault.NETWORK,
    "httpcore.ConnectTimeout": Fault.CONNECT_TIMEOUT,
    "httpcore.PoolTimeout": OWN,
    "httpcore.TimeoutException": Fault.TIMEOUT,
    "httpcore.LocalProtocolError": OWN,
    "httpcore.RemoteProtocolError": Fault.RESET,
    "httpcore.ConnectError": Fault.NETWORK,
    "httpcore.NetworkError": Fault.RESET,
    "aiohttp.ConnectionTimeoutError": Fault.CONNECT_TIMEOUT,
    "aiohttp.ServerTimeoutError": Fault.TIMEOUT,
    "aiohttp.ClientConnectorDNSError": Fault.DNS,
    "aiohttp.ClientConnectorError": Fault.NETWORK,
    "aiohttp.ServerDisconnectedError": Fault.RESET,
    "aiohttp.ClientOSError": Fault.RESET,
    "aiohttp.ClientPayloadError": Fault.RESET,
    "requests.ConnectTimeout": Fault.CONNECT_TIMEOUT,
    "requests.Timeout": Fault.TIMEOUT,
    "requests.ConnectionError": Fault.NETWORK,
    "urllib3.ConnectTimeoutError": Fault.CONNECT_TIMEOUT,
    "urllib3.TimeoutError": Fault.TIMEOUT,
    "urllib3.ProtocolError": Fault.RESET,
    "openai.APITimeoutError": Fault.TIMEOUT,
    "anthropic.APITimeoutError": Fault.TIMEOUT,
    "anthropic.APIConnectionError": Fault.NETWORK,
    "openai.APIStatusError": ANSWERED,
    "anthropic.APIStatusError": ANSWERED,
    "httpx.HTTPStatusError": ANSWERED,
    "litellm.Timeout": Fault.TIMEOUT,
    "litellm.MaskedHTTPStatusError": ANSWERED,
    # An answer without sense, or code that stumbled over one or over its own arguments: no report.
    "litellm.APIResponseValidationError": Fault.GARBAGE,
    "aiohttp.ClientResponseError": Fault.GARBAGE,
    "json.JSONDecodeError": Fault.GARBAGE,
    "builtins.TypeError": Fault.GARBAGE,
    "builtins.AttributeError": Fault.GARBAGE,
    "builtins.LookupError": Fault.GARBAGE,
}
"""By the first package of the module and the class's name; a subclass counts as its nearest known parent."""

ORDER = (
    Fault.DNS,
    Fault.TLS,
    Fault.REFUSED,
    Fault.CONNECT_TIMEOUT,
    Fault.TIMEOUT,
    Fault.RESET,
    Fault.NETWORK,
    Fault.GARBAGE,
)
"""The more telling first."""

_HOST_ERRNOS = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})
_SPENT_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS})
_OUTCOMES = {
    Outcome.UNREACHABLE: ReportOutcome.UNREACHABLE,
    Outcome.TIMEOUT: ReportOutcome.TIMEOUT,
    Outcome.SERVER_ERROR: ReportOutcome.SERVER_ERROR,
}


def outcome_of(error: BaseException) -> ReportOutcome | None:
    """What a failed call says of the provider; None when it says nothing."""
    if isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception):
        return None
    status = _status(error)
    if status is not None and 400 <= status < 500 and status != 408:
        return None
    found: set[Fault | str] = set()
    for one in _causes(error):
        if isinstance(one, asyncio.CancelledError) and Fault.TIMEOUT not in found:
            return None
        if (fault := _fault(one)) is not None:
            found.add(fault)
    if OWN in found:
        return None
    fault = None if ANSWERED in found else next((one for one in ORDER if one in found), None)
    if fault is None and status is None:
        return None
    evidence = Evidence(
        kind=ProbeKind.DEEP,
        fault=fault,
        http_status=status,
        error_text=str(error)[:TEXT_LENGTH].lower() if status == 503 else "",
    )
    return _OUTCOMES.get(classify(evidence))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it was raised from, and so on."""
    one: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _fault(error: BaseException) -> Fault | str | None:
    if isinstance(error, OSError):
        if error.errno in _SPENT_ERRNOS:
            return OWN
        if error.errno in _HOST_ERRNOS:
            return Fault.NETWORK
    return _fault_of_type(type(error))  # type: ignore[arg-type]  # a class is hashable


@lru_cache(maxsize=1024)
def _fault_of_type(kind: type[BaseException]) -> Fault | str | None:
    # litellm's classes are children of openai's, whatever has happened: they speak for themselves alone.
    litellm = _package(kind) == "litellm"
    for one in kind.__mro__:
        package = _package(one)
        if litellm and package != "litellm":
            continue
        if (fault := KNOWN.get(f"{package}.{one.__name__}")) is not None:
            return fault
    return None


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    try:
        return None if status is None else int(status)
    except (TypeError, ValueError):
        return None
