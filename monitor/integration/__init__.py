"""What an application imports."""

from monitor.integration.configuration import ProviderConfiguration
from monitor.integration.errors import DatabaseAway, IntegrationClosed, NotPrepared
from monitor.integration.manager import LLMConfigManager
from monitor.integration.provider_integration import LLMProviderIntegration
from monitor.integration.router import health_router, router
from monitor.storage.operator import ActError
from monitor.storage.refusals import Refused

__all__ = [
    "ActError",
    "DatabaseAway",
    "IntegrationClosed",
    "LLMConfigManager",
    "LLMProviderIntegration",
    "NotPrepared",
    "ProviderConfiguration",
    "Refused",
    "health_router",
    "router",
]
