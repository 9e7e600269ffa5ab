"""A litellm callback that reports every request which carries a provider's metadata.

The only file of the library that imports litellm: an application which registers the callback has it already.
"""

from collections import deque
from typing import Any, Final

import structlog
from litellm.integrations.custom_logger import CustomLogger

from monitor.domain.reports import ReportOutcome
from monitor.integration.reports import Reports, target_of

MOST_CALLS: Final = 1000

log = structlog.get_logger()


class ReportingCallback(CustomLogger):
    """`litellm.callbacks = [integration.litellm_callback()]`: completions, embeddings, rankings, streams.

    Whatever happens in here, the request goes on.
    """

    def __init__(self, reports: Reports) -> None:
        super().__init__()
        self._reports = reports
        self._calls: deque[tuple[str, bool]] = deque(maxlen=MOST_CALLS)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A synchronous request has been answered."""
        self._take(kwargs, failed=False)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """A synchronous request has failed."""
        self._take(kwargs, failed=True)

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """An asynchronous request has been answered."""
        self._take(kwargs, failed=False)

    async def async_log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """An asynchronous request has failed."""
        self._take(kwargs, failed=True)

    def _take(self, kwargs: Any, *, failed: bool) -> None:
        try:
            metadata = (kwargs.get("litellm_params") or {}).get("metadata") or {}
            target = target_of(
                metadata.get("provider_type"), metadata.get("provider_id"), metadata.get("purpose")
            )
            if target is None or not self._is_first(kwargs, failed=failed):
                return
            error = kwargs.get("exception")
            if not failed:
                self._reports.add(target, ReportOutcome.OK)
            elif isinstance(error, BaseException):
                self._reports.failure(target, error)
        except Exception as fault:  # noqa: BLE001  # litellm's data may change its form with any release
            log.debug("report_unclear", error=type(fault).__name__)

    def _is_first(self, kwargs: Any, *, failed: bool) -> bool:
        # Some paths of litellm tell of one call twice, once in a thread and once in the loop.
        call = str(kwargs.get("litellm_call_id")), failed
        if call in self._calls:
            return False
        self._calls.append(call)
        return True
