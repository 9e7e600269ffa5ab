"""What others ask the daemon over HTTP."""

from monitor.web.application import create_app, create_open_app
from monitor.web.listen import ListenError
from monitor.web.server import WebServer
from monitor.web.state import DaemonState, Role

__all__ = ["DaemonState", "ListenError", "Role", "WebServer", "create_app", "create_open_app"]
