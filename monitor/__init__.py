"""Health monitor and automatic failover for LLM providers."""

__version__ = "0.1.0"
