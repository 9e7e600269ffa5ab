"""Every place where settings are written, read in the order in which they win."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from monitor.settings.names import OUTSIDE, SettingsError
from monitor.settings.sources import (
    Given,
    Layer,
    absolute,
    read_credentials,
    read_env_file,
    read_environment,
    read_toml,
)


@dataclass(frozen=True, slots=True)
class Layers:
    """What was written, as text and unjudged.

    Attributes:
        layers: one for each place; the first that names a setting wins.
        variables: those of the `.env` file, and over them the environment's.
        warnings: one line each for what looks like a mistake.
    """

    layers: list[Layer]
    variables: Mapping[str, str]
    warnings: list[str]

    def find(self, name: str) -> Given | None:
        """What the first place says that names a setting."""
        return next((layer[name] for layer in self.layers if name in layer), None)


def read_layers(
    config: Path | None,
    env: Mapping[str, str],
    env_file: Path | None = None,
    ignore_outside: bool = False,
) -> Layers:
    """Read all places; in order: environment, `.env` file, systemd credentials, `*_FILE` variables, TOML.

    Args:
        config: the TOML file; None for the one that MONITOR_CONFIG names, if any.
        env: the environment.
        env_file: a `.env` file, or None.
        ignore_outside: heed no database, no secret and no MONITOR_CONFIG of the surroundings.

    Raises:
        SettingsError: a place cannot be read; one line that names it and the mend.
    """
    warnings: list[str] = []
    heed_files = not ignore_outside
    said, named = read_environment(env, "environment ", warnings, heed_files=heed_files)
    layers = [said]
    files = [named]
    variables = dict(env)
    if env_file is not None:
        from_file = read_env_file(env_file)
        variables = from_file | variables
        said, named = read_environment(from_file, f"{env_file}:", warnings, heed_files=heed_files)
        layers.append(said)
        files.append(named)
    if not ignore_outside and env.get("CREDENTIALS_DIRECTORY"):
        layers.append(read_credentials(Path(env["CREDENTIALS_DIRECTORY"]), warnings))
    layers += files
    if config is None and not ignore_outside and variables.get("MONITOR_CONFIG"):
        try:
            config = absolute(Path(variables["MONITOR_CONFIG"]))
        except ValueError as error:
            raise SettingsError(f"MONITOR_CONFIG: {error}") from None
    if config is not None:
        layers.append(read_toml(config, warnings))
    if ignore_outside:
        layers = [{name: one for name, one in layer.items() if name not in OUTSIDE} for layer in layers]
    return Layers(layers, variables, warnings)
