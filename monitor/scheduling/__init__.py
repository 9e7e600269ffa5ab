"""Runs coroutines again and again, each on its own grid, whatever the clock or the others do."""

from monitor.scheduling.job import JobView
from monitor.scheduling.scheduler import Scheduler

__all__ = ["JobView", "Scheduler"]
