"""Every Prometheus metric of the daemon, on a registry that is handed in."""

from monitor.metrics.exporter import Metrics
from monitor.metrics.text import TextFormat

__all__ = ["Metrics", "TextFormat"]
