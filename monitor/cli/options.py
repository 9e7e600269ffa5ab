"""The options that every command understands, and the settings they lead to."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from monitor.settings import Settings

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A TOML file of settings (MONITOR_CONFIG).")
]
EnvFile = Annotated[
    Path | None, typer.Option("--env-file", metavar="FILE", help="A file of NAME=value lines, such as .env.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="The folder of the embedded PostgreSQL (MONITOR_DATA_DIR)."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def read_settings(
    config: Path | None,
    env_file: Path | None,
    data_dir: Path | None,
    *,
    ignore_outside: bool = False,
    warn: bool = True,
    env: Mapping[str, str] | None = None,
) -> "Settings":
    """The settings of this command line; what only looks like a mistake goes to standard error.

    Args:
        config: --config.
        env_file: --env-file.
        data_dir: --data-dir.
        ignore_outside: heed no database and no secret of the surroundings.
        warn: tell warnings; False for whoever logs them.
        env: the environment; None for that of now.

    Raises:
        SettingsError: something cannot be used.
    """
    from monitor.settings import SettingsError, load_settings
    from monitor.settings.sources import absolute

    env = os.environ if env is None else env
    if data_dir is not None:
        try:
            data_dir = absolute(data_dir)
        except ValueError as error:
            raise SettingsError(f"--data-dir: {error}") from None
        env = {**env, "MONITOR_DATA_DIR": str(data_dir)}
    settings = load_settings(config, env, env_file, ignore_outside=ignore_outside)
    for warning in settings.warnings if warn else ():
        print(f"llm-monitor: warning: {warning}", file=sys.stderr)
    if data_dir is None:
        return settings
    return replace(settings, data_dir=data_dir, origins={**settings.origins, "data_dir": "--data-dir"})


def quiet_logs(settings: "Settings") -> None:
    """Send warnings and worse to standard error: standard output is for the answer alone."""
    from monitor.logs import configure

    configure(level="warning", format="console", stream=sys.stderr).add(*settings.secrets())
