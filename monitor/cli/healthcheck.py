"""`llm-monitor healthcheck`: whether the daemon on this machine lives, for whoever restarts a dead one.

A container's engine asks every few seconds: so this reads three settings and imports no more than it needs.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from monitor.cli.options import AsJson, ConfigFile, EnvFile

if TYPE_CHECKING:
    from monitor.settings.sources import Given

_SECONDS = 3.0
_LARGEST = 65536
_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - every interface, and so the loopback one
_DEFAULT = ("127.0.0.1", 9780)


class _Place(NamedTuple):
    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def healthcheck(
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask whether it is ready, too: a standby is not.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> int:
    """Ask the daemon on this machine whether it lives: exit code 0 or 1, and one line."""
    place, path = _find_place(config, env_file), "/readyz" if ready else "/healthz"
    asked, trouble = f"{place}{path}", _find_trouble(place, path)
    if as_json:
        from monitor.cli.console import show_json

        show_json({"healthy": trouble is None, "asked": asked, "reason": trouble})
    else:
        print(f"healthy: {asked}" if trouble is None else f"unhealthy: {asked} {trouble}")
    return 0 if trouble is None else 1


def _find_trouble(place: _Place, path: str) -> str | None:
    """What is wrong with the answer, or None."""
    try:
        status, body = _ask(place, path)
    except TimeoutError:
        return f"gave no answer within {_SECONDS:g} s"
    except OSError as error:
        return f"is not answered: {error.strerror or type(error).__name__}"
    return None if status == 200 else f"answers {status}{_reasons(body)}"


def _find_place(config: Path | None, env_file: Path | None) -> _Place:
    """Where the door of the daemon is that has the same settings.

    Raises:
        SettingsError: they do not say.
    """
    from monitor.settings.layers import read_layers

    read = read_layers(config, os.environ, env_file)
    host, port = read.find("host"), read.find("port")
    named = _host(host) if host else _DEFAULT[0]
    return _Place(
        host=_THIS_MACHINE.get(named, named),
        port=_port(port) if port else _DEFAULT[1],
        tls=read.find("tls_cert") is not None,
    )


def _host(given: "Given") -> str:
    from monitor.settings.names import SettingsError
    from monitor.settings.sources import host_name

    try:
        return host_name(str(given.value))
    except ValueError as error:
        raise SettingsError(f"{given.place}: {error}") from None


def _port(given: "Given") -> int:
    from monitor.settings.names import SettingsError

    text, origin = str(given.value).strip(), given.place
    if not text.isdecimal() or not 0 <= int(text) < 65536:
        raise SettingsError(f"{origin}: is no port; write a number from 1 to 65535")
    if int(text) == 0:
        raise SettingsError(f"{origin}: with 0 nobody knows where the daemon listens; write a port")
    return int(text)


def _ask(place: _Place, path: str) -> tuple[int, bytes]:
    """Status and body of one request.

    Raises:
        TimeoutError: no answer in time.
        OSError: no answer at all.
    """
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    if place.tls:
        import ssl

        # This machine asks itself, and sends nothing worth a theft. Its address is in no certificate, and one
        # that ended is no reason to restart.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection: HTTPConnection = HTTPSConnection(
            place.host, place.port, timeout=_SECONDS, context=context
        )
    else:
        connection = HTTPConnection(place.host, place.port, timeout=_SECONDS)
    try:
        connection.request("GET", path, headers={"connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read(_LARGEST)
    except HTTPException as error:
        raise OSError(None, f"no HTTP ({type(error).__name__})") from error
    finally:
        connection.close()


def _reasons(body: bytes) -> str:
    """What an answer says of why, as one line; a stranger's answer says nothing."""
    import json

    from monitor.cli.console import plain

    try:
        reasons = json.loads(body)["reasons"]
        return f": {plain('; '.join(str(one) for one in reasons))}"
    except (ValueError, KeyError, TypeError):
        return ""
