"""What an application imports."""

from monitor.integration.configuration import ProviderConfiguration
from monitor.integration.errors import DatabaseAway, IntegrationClosed, NotPrepared
from monitor.integration.manager import LLMConfigManager
from monitor.integration.provider_integration import LLMProviderIntegration
from monitor.integration.router import health_router, router

__all__ = [
    "DatabaseAway",
    "IntegrationClosed",
    "LLMConfigManager",
    "LLMProviderIntegration",
    "NotPrepared",
    "ProviderConfiguration",
    "health_router",
    "router",
]
