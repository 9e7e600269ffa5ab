"""Runs coroutines again and again, each on its own grid, whatever the clock or the others do."""

from monitor.scheduling.scheduler import JobView, Scheduler

__all__ = ["JobView", "Scheduler"]
