"""First contact: two servers of our own, one of which breaks and recovers while a real daemon watches."""

from monitor.demo.run import run_demo

__all__ = ["run_demo"]
