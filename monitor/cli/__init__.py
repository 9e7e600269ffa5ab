"""What a person types."""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from monitor import __version__
from monitor.cli.assets import assets
from monitor.cli.backup import backup
from monitor.cli.candidates import candidates
from monitor.cli.config import config
from monitor.cli.explain import explain as explain_purpose
from monitor.cli.generate_key import generate_key
from monitor.cli.healthcheck import healthcheck
from monitor.cli.history import history
from monitor.cli.install_service import install_service
from monitor.cli.maintenance import maintenance
from monitor.cli.migrate import migrate
from monitor.cli.pause import pause, resume
from monitor.cli.probe import probe
from monitor.cli.promote import pin, promote, unpin
from monitor.cli.refusal import explain
from monitor.cli.replay import replay
from monitor.cli.restore import restore
from monitor.cli.rotate_key import encrypt_server_keys, rotate_key
from monitor.cli.run import run
from monitor.cli.status import status
from monitor.cli.tokens import tokens
from monitor.cli.verify import verify

PROGRAM = "llm-monitor"
INTERRUPTED = 130
PIPE_CLOSED = 141

app = typer.Typer(
    name=PROGRAM,
    help="Health monitor and automatic failover for LLM providers kept in PostgreSQL.",
    epilog="Exit codes: 0 fine, 1 the answer is bad news, 2 usage or configuration.",
    add_completion=False,
    pretty_exceptions_enable=False,  # they show local variables
    rich_markup_mode=None,  # plain text: it reads alike in a pipe, and starts faster
)
app.command()(run)
app.command()(status)
app.command()(verify)
app.command()(probe)
app.command()(history)
app.command("explain")(explain_purpose)
app.command()(replay)
app.command()(promote)
app.command()(pin)
app.command()(unpin)
app.command()(pause)
app.command()(resume)
app.command()(candidates)
app.command()(maintenance)
app.command()(migrate)
app.command()(backup)
app.command()(restore)
app.command("generate-key")(generate_key)
app.command("rotate-key")(rotate_key)
app.command("encrypt-server-keys")(encrypt_server_keys)
app.command()(config)
app.command()(assets)
app.command()(healthcheck)
app.command("install-service")(install_service)
app.add_typer(tokens, name="token")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _program(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def main() -> None:
    """Do what the command line says, and end with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name in any script may be shown on any terminal
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int:
    """The exit code of one command line."""
    try:
        try:
            code = _invoke(list(arguments))
        except typer.Exit as end:
            code = end.exit_code
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read us has read enough. What is still buffered goes nowhere, at the end of the process too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the edge of the program
        return _complain(error)
    return int(code or 0)


def _invoke(arguments: list[str]) -> int | None:
    if arguments == ["healthcheck"]:
        return healthcheck()  # an engine asks all day long, and typer takes most of the time for its options
    command = typer.main.get_command(app)
    with command.make_context(PROGRAM, arguments) as context:
        code: int | None = command.invoke(context)
        return code


def _complain(error: Exception) -> int:
    message = explain(error)
    if message is not None:
        print(f"{PROGRAM}: {message}", file=sys.stderr)
        return 2
    # Frames alone: the text of an exception and the values of variables may hold a key.
    print(
        f"{PROGRAM}: a fault of the program ({type(error).__name__}), not of its configuration:",
        file=sys.stderr,
    )
    print("".join(traceback.format_tb(error.__traceback__)), end="", file=sys.stderr)
    return 1
