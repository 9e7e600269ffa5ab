"""Reads each setting's text into its type; what it says of a wrong one never repeats the text."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from monitor.settings.names import SettingsError
from monitor.settings.sources import Layer, absolute, host_name

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_LISTEN = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]]*):(?P<port>\d{1,5})")


def _listen(value: Any) -> Any:
    found = _LISTEN.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ValueError("is no address; write host:port, as in 0.0.0.0:9781")
    return host_name(found["host"] or "0.0.0.0"), int(found["port"])  # noqa: S104  # ":9781" means every interface


def _path(path: Path) -> Path:
    if "\0" in str(path) or path == Path():
        raise ValueError("is no path; write one, as in /var/lib/llm-monitor, or leave it out")
    return absolute(path)


def _url(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    try:
        parts = urlsplit(text)
        fits = parts.scheme.partition("+")[0] in {"postgres", "postgresql"} and text.count("://") == 1
        fits = fits and parts.port != 0  # reading the port checks it
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            "is no database URL; write postgresql://USER:PASSWORD@HOST:5432/NAME, special characters as %XX"
        )
    return secret


def _postgres_host(text: str) -> str:
    return text if text.startswith("/") else host_name(text)


def _network(text: str) -> str:
    try:
        return str(ip_network(text.strip(), strict=False))
    except ValueError:
        raise ValueError("is no address or network; write addresses, as in 10.0.0.5 or 10.0.0.0/24") from None


def _keys(value: Any) -> Any:
    return tuple(re.split(r"[,\s]+", value.strip(", \t\r\n"))) if isinstance(value, str) else value


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is no whole number; write one without quotes")  # noqa: TRY004 - pydantic wants it
    return value


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


Host = Annotated[str, AfterValidator(host_name)]
Whole = Annotated[int, BeforeValidator(_no_boolean)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]
LogFormat = Literal["auto", "json", "console"]


class Door(BaseSettings):
    """Every setting but the policy and providers' keys; its fields are the TOML keys."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", validate_default=False, hide_input_in_errors=True
    )

    encryption_key: SecretStr | None = None
    old_encryption_keys: Annotated[tuple[SecretStr, ...], BeforeValidator(_keys)] = ()
    database_url: Annotated[SecretStr, AfterValidator(_url)] | None = None
    postgres_host: Annotated[str, AfterValidator(_postgres_host)] | None = None
    postgres_port: Port = 5432
    postgres_user: str | None = None
    postgres_password: SecretStr | None = None
    postgres_db: str | None = None
    data_dir: Annotated[Path, AfterValidator(_path)] | None = None
    host: Host = "127.0.0.1"
    port: Annotated[Whole, Field(ge=0, le=65535)] = 9780
    metrics_listen: Annotated[tuple[str, int] | None, BeforeValidator(_listen)] = None
    allowed_hosts: Annotated[tuple[Host, ...], BeforeValidator(_keys)] = ()
    tls_cert: Annotated[Path, AfterValidator(_path)] | None = None
    tls_key: Annotated[Path, AfterValidator(_path)] | None = None
    trust_proxy: Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_keys)] = ()
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = "info"
    log_format: Annotated[LogFormat, BeforeValidator(_lower)] = "auto"
    pg_group: str | None = None
    retention_days: Annotated[Whole, Field(ge=1, le=3650)] = 14
    retention_hourly_days: Annotated[Whole, Field(ge=1, le=3650)] = 90
    retention_daily_days: Annotated[Whole, Field(ge=1, le=3650)] = 730
    concurrency: Annotated[Whole, Field(ge=1, le=10_000)] = 128
    upstream_concurrency: Annotated[Whole, Field(ge=1, le=10_000)] = 16
    allow_metadata_addresses: bool = False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what it is handed: the layers are read beforehand, with their origins."""
        return (init_settings,)


def open_door(layers: list[Layer]) -> Door:
    """Read the settings from layers, the first of which wins.

    Raises:
        SettingsError: the first setting that does not fit its type.
    """
    given = {name: entry for layer in reversed(layers) for name, entry in layer.items()}
    wanted = {name: given[name].value for name in given.keys() & Door.model_fields.keys()}
    for name, value in wanted.items():
        if isinstance(value, str) and not value.strip():
            raise SettingsError(f"{given[name].place}: is empty; write a value, or leave it out")
    try:
        return Door(**wanted)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = str(problem["loc"][0])
        raise SettingsError(f"{given[name].place}: {_complaint(name, problem)}") from None


def _complaint(name: str, problem: "ErrorDetails") -> str:
    """What is wrong and the mend, in our words where pydantic's say only the one."""
    match problem["type"]:
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size" | "finite_number":
            return f"is no whole number; write one, as in {Door.model_fields[name].default}"
        case "greater_than_equal" | "less_than_equal":
            return f"is out of range; write one from {range_of(name)}"
        case "string_type" | "path_type":
            return "is no text; write it in quotes"
        case "tuple_type":
            return 'is no list; write one of texts, as in ["one", "two"]'
        case "bool_parsing" | "bool_type":
            return "is neither true nor false; write one of them"
        case "literal_error":
            known = problem.get("ctx", {}).get("expected", "").replace("'", "")
            return f"is unknown; write {known}"
        case _:
            message = problem["msg"].removeprefix("Value error, ")
            return f"{message[:1].lower()}{message[1:]}"


def range_of(name: str) -> str:
    """The bounds of a number, as in `1 to 65535`; "" without any."""
    bounds = Door.model_fields[name].metadata if name in Door.model_fields else ()
    said = [str(getattr(one, side)) for one in bounds for side in ("ge", "le") if hasattr(one, side)]
    return " to ".join(said)
