"""At which moment of the outage each query, recorded series and alert has its data for the first time."""

from collections.abc import Mapping
from enum import StrEnum, auto

from tests.system.onlooker import Place


class Moment(StrEnum):
    """When something has its data for the first time; what has none by name has it in the calm."""

    NOBODY = auto()
    BLIND = auto()
    STARTED = auto()
    CALM = auto()
    TROUBLED = auto()
    FAILED_OVER = auto()
    STRANDED = auto()
    RETURNED = auto()
    WORSE = auto()
    AWAY = auto()
    STALLED = auto()


BOARDS = ("overview", "provider", "failover", "daemon")
LATER: Mapping[Place, Moment] = {
    **{(board, "annotation", "Moves"): Moment.FAILED_OVER for board in BOARDS},
    **{(board, "annotation", "Stranded"): Moment.STRANDED for board in BOARDS},
    ("overview", "Who serves", "D"): Moment.FAILED_OVER,  # the last move
    ("overview", "What deep probes showed besides passes", "A"): Moment.TROUBLED,
    ("provider", "Blocks", "A"): Moment.TROUBLED,
    ("failover", "Median time to leave", "A"): Moment.FAILED_OVER,
    ("failover", "Slowest time to leave", "A"): Moment.FAILED_OVER,
}
# The hosted one has a certificate, a price, credit and limits; what it does not show another one does.
OTHERS = {"Serves": "gpu-1", "Blocks": "refused"}

RECORDED_LATER = {
    "provider:llm_monitor_credit_left:hours": Moment.WORSE,
    "target:llm_monitor_probe_failures:ratio7d": Moment.WORSE,
    "target:llm_monitor_probe_duration_seconds:p50_7d": Moment.WORSE,
}
ALERTS = {
    "LLMMonitorAbsent/critical": Moment.NOBODY,
    "LLMMonitorNobodyLeads/critical": Moment.BLIND,
    "LLMMonitorTargetBlind/warning": Moment.STARTED,
    "LLMMonitorInstanceDown/warning": Moment.CALM,
    "LLMCertificateEnding/critical": Moment.CALM,
    "LLMCertificateEnding/warning": Moment.CALM,
    "LLMKeyRefused/warning": Moment.TROUBLED,
    "LLMQuotaExhausted/warning": Moment.TROUBLED,
    "LLMModelGone/warning": Moment.TROUBLED,
    "LLMMonitorProbesInvalid/warning": Moment.TROUBLED,
    "LLMMonitorResultsDropped/warning": Moment.TROUBLED,
    "LLMMonitorConfigProblems/warning": Moment.TROUBLED,
    "LLMRequestsFail/warning": Moment.TROUBLED,
    "LLMFailedOver/info": Moment.FAILED_OVER,
    "LLMActiveUnfit/critical": Moment.FAILED_OVER,
    "LLMPurposeStranded/critical": Moment.STRANDED,
    "LLMProviderDown/warning": Moment.STRANDED,
    "LLMErrorBudgetBurning/1h": Moment.STRANDED,
    "LLMErrorBudgetBurning/6h": Moment.STRANDED,
    "LLMErrorBudgetBurning/3d": Moment.STRANDED,
    "LLMSwitchingOften/warning": Moment.RETURNED,
    "LLMProviderDegraded/latency": Moment.WORSE,
    "LLMProviderDegraded/failures": Moment.WORSE,
    "LLMCreditRunningOut/warning": Moment.WORSE,
    "LLMCreditRunningOut/critical": Moment.WORSE,
    "LLMCreditAlmostGone/warning": Moment.WORSE,
    "LLMMonitorStoreDown/critical": Moment.AWAY,
    "LLMMonitorNoDecision/critical": Moment.AWAY,
    "LLMMonitorResultsWaiting/warning": Moment.AWAY,
    "LLMMonitorProbesLate/warning": Moment.STALLED,
}
