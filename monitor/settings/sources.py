"""Where settings are written, each place read into one layer; nothing here judges a value."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from monitor.domain.target import Purpose
from monitor.settings.names import SECRETS, VARIABLES, SettingsError, nearest
from monitor.settings.policies import NAMES, policy_name

_BY_VARIABLE = {variable: name for name, variable in VARIABLES.items()}
_POLICY = "MONITOR_POLICY_"
_INJECTED = re.compile(
    r"MONITOR_(SERVICE_(HOST|PORT)|PORT_\d+_(TCP|UDP))(_\w+)?"
)  # Kubernetes, for a service "monitor"
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_LARGEST = 65536


@dataclass(frozen=True, slots=True)
class Given:
    """One value as it was written, and where."""

    value: Any = field(repr=False)
    origin: str

    @property
    def place(self) -> str:
        """What to mend: a variable, or a file and its key."""
        return self.origin.removeprefix("environment ")


Layer = dict[str, Given]


def absolute(path: Path) -> Path:
    """A path as somebody wrote it, the `~` of a home included.

    Raises:
        ValueError: nobody has that home; what is wrong and the mend.
    """
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ValueError("names the home of nobody; write an absolute path") from None


def host_name(text: str) -> str:
    """An address, or a name that the DNS could know, without the brackets of a URL.

    Raises:
        ValueError: it is neither; what is wrong and the mend.
    """
    bare = text.strip().removeprefix("[").removesuffix("]")
    try:
        return str(ip_address(bare))
    except ValueError:
        if len(bare) > 254 or not _HOST_NAME.fullmatch(bare) or bare.replace(".", "").isdigit():
            raise ValueError("is no host; write an address or a name, as in 127.0.0.1") from None
        return bare


def read_environment(
    env: Mapping[str, str], where: str, warnings: list[str], *, heed_files: bool = True
) -> tuple[Layer, Layer]:
    """Read variables.

    Args:
        env: the variables; an empty one counts as absent.
        where: how its origin begins: `environment ` or `/srv/app/.env:`.
        warnings: grows by one line for each unknown `MONITOR_` variable.
        heed_files: whether files that `*_FILE` variables name are read.

    Returns:
        Two layers: what variables say, and what the files say that `*_FILE` variables name.
    """
    said: Layer = {}
    filed: Layer = {}
    for variable, text in env.items():
        value = text.strip()
        if not value or value.startswith(("tcp://", "udp://")):
            continue
        bare = variable.removesuffix("_FILE")
        if variable in _BY_VARIABLE:
            said[_BY_VARIABLE[variable]] = Given(value, f"{where}{variable}")
        elif bare != variable and _BY_VARIABLE.get(bare) in SECRETS:
            if heed_files:
                secret = read_secret(Path(value), variable)
                if not secret:
                    raise SettingsError(f"{variable}: {value} is empty; write the secret into it")
                filed[_BY_VARIABLE[bare]] = Given(secret, f"{value} ({variable})")
        elif variable.startswith(_POLICY) and (name := policy_name(variable.removeprefix(_POLICY).lower())):
            said[f"policy.{name}"] = Given(value, f"{where}{variable}")
        elif (
            variable.startswith("MONITOR_")
            and not _INJECTED.fullmatch(variable)
            and variable != "MONITOR_CONFIG"
        ):
            if bare in _BY_VARIABLE:
                warnings.append(f"{variable}: only a secret is read from a file; set {bare} itself")
                continue
            known = [*_BY_VARIABLE, "MONITOR_CONFIG", *(_POLICY + name.upper() for name in NAMES)]
            warnings.append(f"{variable} is no setting of ours; did you mean {nearest(variable, known)}?")
    return said, filed


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a `.env` file.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        if not path.is_file():
            raise SettingsError(
                f"{path}: there is no such file; llm-monitor generate-key --env-file {path} makes one"
            )
        with path.open(encoding="utf-8") as stream:
            values = dotenv_values(stream=stream, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read ({_reason(error)}); mend the file or its mode") from None
    return {name: value for name, value in values.items() if value is not None}


def read_credentials(folder: Path, warnings: list[str]) -> Layer:
    """What systemd put into `$CREDENTIALS_DIRECTORY`: a file for each setting, under the setting's name.

    Other files there belong to others, and an empty one says nothing.

    Raises:
        SettingsError: one can't be read.
    """
    layer: Layer = {}
    try:
        there = folder.is_dir()
    except OSError as error:
        raise SettingsError(
            f"CREDENTIALS_DIRECTORY: {folder} cannot be read ({_reason(error)}); mend its path or mode"
        ) from None
    if not there:
        warnings.append(f"CREDENTIALS_DIRECTORY: {folder} is no folder, and no credential was read")
        return layer
    for name in VARIABLES:
        path = folder / name
        if os.access(folder, os.X_OK) and not path.is_file():
            continue
        if value := read_secret(path, f"credential {name}"):
            layer[name] = Given(value, f"credential {name}")
    return layer


def read_secret(path: Path, named_by: str) -> str:
    """The text of a small file, without the white space around it.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise SettingsError(f"{named_by}: {path} is larger than {_LARGEST} bytes; name the right file")
        return content.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{named_by}: {path} cannot be read ({_reason(error)}); mend its path or mode"
        ) from None


def read_toml(path: Path, warnings: list[str]) -> Layer:
    """Read the configuration file: settings by name, `[policy]`, and a `[purposes.chat]` for each purpose.

    Raises:
        SettingsError: it cannot be read, or a key is unknown.
    """
    try:
        document = tomllib.loads(path.read_bytes().decode())
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"{path}: is no TOML: {str(error)[:1].lower()}{str(error)[1:]}; "
            'write NAME = VALUE, with texts in quotes, as in host = "127.0.0.1"'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path}: cannot be read ({_reason(error)}); mend --config or MONITOR_CONFIG"
        ) from None
    except (ValueError, RecursionError):
        raise SettingsError(
            f"{path}: holds a number of thousands of digits, or as many brackets; "
            "mend --config or MONITOR_CONFIG"
        ) from None
    layer: Layer = {}
    for key, value in document.items():
        if key == "policy":
            layer |= _policy_table(path, "policy", value)
        elif key == "purposes":
            layer |= _purpose_tables(path, value)
        elif key in VARIABLES:
            layer[key] = Given(value, f"{path}:{key}")
        else:
            raise _unknown(path, key, nearest(key, [*VARIABLES, "policy", "purposes"]))
    if layer.keys() & SECRETS and path.stat().st_mode & 0o077:
        warnings.append(f"{path} holds a secret and others may read it; chmod 600 {path}")
    return layer


def _purpose_tables(path: Path, value: object) -> Layer:
    layer: Layer = {}
    for purpose, table in _table(path, "purposes", value):
        if purpose not in set(Purpose):
            raise _unknown(path, f"purposes.{purpose}", f"purposes.{nearest(purpose, list(Purpose))}")
        layer |= _policy_table(path, f"purposes.{purpose}", table)
    return layer


def _policy_table(path: Path, prefix: str, value: object) -> Layer:
    layer: Layer = {}
    for key, entry in _table(path, prefix, value):
        name = policy_name(key)
        if name is None:
            raise _unknown(path, f"{prefix}.{key}", f"{prefix}.{nearest(key, list(NAMES))}")
        if f"{prefix}.{name}" in layer:
            raise SettingsError(f"{path}:{prefix}.{key}: says again what {name} says; keep one of them")
        layer[f"{prefix}.{name}"] = Given(entry, f"{path}:{prefix}.{key}")
    return layer


def _table(path: Path, name: str, value: object) -> Iterator[tuple[str, object]]:
    if not isinstance(value, dict):
        raise SettingsError(f"{path}:{name}: is a table; write [{name}] above its keys")
    yield from value.items()


def _unknown(path: Path, key: str, suggestion: str) -> SettingsError:
    return SettingsError(f"{path}:{key}: is no setting; did you mean {suggestion}?")


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "an error of the system") if isinstance(error, OSError) else "not UTF-8"
