"""What an application imports."""

from monitor.integration.configuration import ProviderConfiguration
from monitor.integration.errors import DatabaseAway, IntegrationClosed, NotPrepared
from monitor.integration.provider_integration import LLMProviderIntegration

__all__ = [
    "DatabaseAway",
    "IntegrationClosed",
    "LLMProviderIntegration",
    "NotPrepared",
    "ProviderConfiguration",
]
