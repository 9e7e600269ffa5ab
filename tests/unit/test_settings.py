"""Settings: which place wins, what is refused and how, and that no secret shows."""

import os
import pwd
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.cli.options import read_settings
from monitor.domain.policy import Failback, Policy
from monitor.domain.target import Purpose
from monitor.settings import (
    Listen,
    PolicyError,
    Settings,
    SettingsError,
    change_policy,
    load_settings,
    parse_duration,
    show_duration,
)
from monitor.settings.names import SECRETS, VARIABLES

SECRET = "sk-or-v1-0123456789abcdef0123456789"

Write = Callable[[str], Path]


@pytest.fixture
def toml(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "monitor.toml"
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    return write


def load(config: Path | None = None, variables: Mapping[str, str] | None = None, /, **env: str) -> Settings:
    return load_settings(config, {"HOME": "/home/someone", **(variables or {}), **env})


def refusal(config: Path | None = None, variables: Mapping[str, str] | None = None, /, **env: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(config, variables, **env)
    message = str(caught.value)
    assert "\n" not in message
    return message


def origin(settings: Settings, name: str) -> str:
    return next(line.origin for line in settings.effective() if line.name == name)


def shown(settings: Settings, name: str) -> str:
    return next(line.shown for line in settings.effective() if line.name == name)


def test_nothing_said_means_the_defaults() -> None:
    settings = load()
    assert (settings.host, settings.port, settings.retention_days) == ("127.0.0.1", 9780, 14)
    assert (settings.concurrency, settings.upstream_concurrency) == (128, 16)
    assert settings.database is None
    assert settings.encryption_key is None
    assert settings.policy == Policy()
    assert {line.origin for line in settings.effective()} == {"default"}


def test_the_data_folder_is_the_machines_for_root_and_the_accounts_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert load().data_dir == Path("/var/lib/llm-monitor")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert load().data_dir == Path("/home/someone/.local/share/llm-monitor")
    assert load(XDG_DATA_HOME="/srv/data").data_dir == Path("/srv/data/llm-monitor")
    assert load(XDG_DATA_HOME="not/absolute").data_dir == Path("/home/someone/.local/share/llm-monitor")
    assert load(MONITOR_DATA_DIR="here").data_dir == Path("here").absolute()


def test_an_account_without_a_home_is_asked_for_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as any number: nobody knows its name."""
    unknown = max(entry.pw_uid for entry in pwd.getpwall()) + 1
    monkeypatch.setattr(os, "geteuid", lambda: unknown)
    monkeypatch.setattr(os, "getuid", lambda: unknown)
    monkeypatch.delenv("HOME")
    with pytest.raises(SettingsError, match=r"^MONITOR_DATA_DIR: this account .* has no home; name a folder"):
        load_settings(None, {})
    assert load_settings(None, {"MONITOR_DATA_DIR": "/srv"}).data_dir == Path("/srv")


def test_a_folder_of_the_command_line_stands_for_the_one_of_the_settings() -> None:
    settings = read_settings(None, None, Path("/srv"), env={"MONITOR_DATA_DIR": "~nobody-has-that-name"})
    assert (settings.data_dir, settings.origin("data_dir")) == (Path("/srv"), "--data-dir")
    with pytest.raises(SettingsError, match=r"^--data-dir: names the home of nobody"):
        read_settings(None, None, Path("~nobody-has-that-name/data"), env={})


def test_each_place_wins_over_the_next(tmp_path: Path, toml: Write) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "encryption_key").write_text("from-credential\n")
    (tmp_path / "secret").write_text("from-file\n")
    env_file = tmp_path / ".env"
    env_file.write_text("BYOK_ENCRYPTION_KEY='from-env-file'\n")
    config = toml('encryption_key = "from-toml"')
    places = {
        "environment BYOK_ENCRYPTION_KEY": ("from-environment", {"BYOK_ENCRYPTION_KEY": "from-environment"}),
        f"{env_file}:BYOK_ENCRYPTION_KEY": ("from-env-file", {}),
        "credential encryption_key": ("from-credential", {"CREDENTIALS_DIRECTORY": str(credentials)}),
        f"{tmp_path / 'secret'} (BYOK_ENCRYPTION_KEY_FILE)": (
            "from-file",
            {"BYOK_ENCRYPTION_KEY_FILE": str(tmp_path / "secret")},
        ),
        f"{config}:encryption_key": ("from-toml", {}),
    }
    left = list(places.items())
    while left:
        env = {name: value for _, (_, variables) in left for name, value in variables.items()}
        with_env_file = any(".env:" in place for place, _ in left)
        settings = load_settings(config, env, env_file if with_env_file else None)
        place, (value, _) = left.pop(0)
        assert settings.encryption_key is not None
        assert settings.encryption_key.get_secret_value() == value
        assert origin(settings, "encryption_key") == place


def test_every_setting_can_be_said_in_the_environment_and_in_the_file(toml: Write) -> None:
    values = {
        "postgres_port": "5433",
        "port": "81",
        "host": "::1",
        "metrics_listen": "[::]:9781",
        "allowed_hosts": "ops.example, 10.0.0.1",
        "trust_proxy": "10.0.0.0/24 ::1",
        "tls_cert": "/etc/cert.pem",
        "tls_key": "/etc/key.pem",
        "log_level": "DEBUG",
        "log_format": "json",
        "retention_days": "3",
        "retention_hourly_days": "30",
        "retention_daily_days": "400",
        "concurrency": "5",
        "upstream_concurrency": "2",
        "allow_metadata_addresses": "true",
        "data_dir": "/srv/monitor",
        "database_url": "postgresql://me:pw@db/ops",
    }
    for name, variable in VARIABLES.items():
        value = values.get(name, "word")
        beside = {"tls_cert": "tls_key", "tls_key": "tls_cert"}.get(name, "port")
        in_environment = load(None, {VARIABLES[beside]: values[beside], variable: value})
        in_file = load(
            toml(f"{name} = '{value}'"), {VARIABLES[beside]: values[beside]} if beside != name else {}
        )
        assert in_environment.origins[name] == f"environment {variable}"
        assert in_file.origins[name].endswith(f"monitor.toml:{name}")
        assert shown(in_environment, name) == shown(in_file, name)


def test_what_is_coarser_is_kept_at_least_as_long() -> None:
    settings = load(None, {"MONITOR_RETENTION_DAYS": "800"})
    assert (settings.retention_hourly_days, settings.retention_daily_days) == (800, 800)
    assert load(None, {}).retention_daily_days == 730


def test_hosts_and_proxies_are_lists_of_names_and_networks(toml: Write) -> None:
    settings = load(
        MONITOR_ALLOWED_HOSTS="ops.example,[::1] 10.0.0.1", MONITOR_TRUST_PROXY="10.0.0.7/24, ::1"
    )
    assert settings.allowed_hosts == ("ops.example", "::1", "10.0.0.1")
    assert settings.trust_proxy == ("10.0.0.0/24", "::1/128")
    assert load(toml("allowed_hosts = ['a.example', 'b.example']")).allowed_hosts == (
        "a.example",
        "b.example",
    )
    assert refusal(MONITOR_ALLOWED_HOSTS="https://ops.example").startswith(
        "MONITOR_ALLOWED_HOSTS: is no host"
    )
    assert refusal(MONITOR_TRUST_PROXY="proxy.example").startswith("MONITOR_TRUST_PROXY: is no address")


def test_the_config_file_may_be_named_by_a_variable(toml: Write) -> None:
    path = toml("port = 9999")
    assert load(MONITOR_CONFIG=str(path)).port == 9999
    assert load(path, MONITOR_CONFIG="/nowhere").port == 9999
    assert "/nowhere" in refusal(MONITOR_CONFIG="/nowhere")
    assert refusal(MONITOR_CONFIG="~nobody-has-that-name/monitor.toml") == (
        "MONITOR_CONFIG: names the home of nobody; write an absolute path"
    )


def test_an_unknown_key_is_refused_with_the_nearest_known_one(toml: Write) -> None:
    assert "monitor.toml:prot: is no setting; did you mean port?" in refusal(toml("prot = 1"))
    assert "did you mean policy.fall?" in refusal(toml("[policy]\nfal = 3"))
    assert "did you mean purposes.chat?" in refusal(toml("[purposes.chatt]\nfall = 3"))
    assert "did you mean purposes.chat.rise?" in refusal(toml("[purposes.chat]\nrice = 3"))
    assert "write [policy]" in refusal(toml("policy = 3"))
    assert "keep one of them" in refusal(toml("[policy]\nhold = 3\nhold_seconds = 3"))
    assert "is no TOML" in refusal(toml("port = "))


def test_an_unknown_variable_of_ours_is_a_warning() -> None:
    settings = load(MONITOR_PROT="1", MONITOR_POLICY_FAL="2", OTHER_THING="3")
    assert settings.warnings == (
        "MONITOR_PROT is no setting of ours; did you mean MONITOR_PORT?",
        "MONITOR_POLICY_FAL is no setting of ours; did you mean MONITOR_POLICY_FALL?",
    )


def test_what_an_orchestrator_injects_is_passed_over() -> None:
    settings = load(
        MONITOR_PORT="tcp://10.0.0.1:9780",
        POSTGRES_PORT="tcp://10.0.0.2:5432",
        MONITOR_PORT_9780_TCP="tcp://10.0.0.1:9780",
        MONITOR_PORT_9780_TCP_PORT="9780",
        MONITOR_PORT_9780_TCP_ADDR="10.0.0.1",
        MONITOR_SERVICE_HOST="10.0.0.1",
        MONITOR_SERVICE_PORT_HTTP="9780",
        MONITOR_HOST="",
    )
    assert (settings.host, settings.port) == ("127.0.0.1", 9780)
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("variable", "value", "mend"),
    [
        ("MONITOR_PORT", "65536", "write one from 0 to 65535"),
        ("MONITOR_PORT", "-1", "write one from 0 to 65535"),
        ("MONITOR_PORT", "http", "is no whole number; write one, as in 9780"),
        ("POSTGRES_PORT", "0", "write one from 1 to "),
        ("MONITOR_HOST", "300.1.1.1", "address or a name"),
        ("MONITOR_HOST", "a b", "address or a name"),
        ("MONITOR_HOST", "a..b", "address or a name"),
        ("MONITOR_HOST", "a" * 64, "address or a name"),
        ("MONITOR_METRICS_LISTEN", "9781", "host:port"),
        ("MONITOR_METRICS_LISTEN", "::1", "host:port"),
        ("MONITOR_METRICS_LISTEN", "0.0.0.0:0", "host:port"),
        ("MONITOR_LOG_LEVEL", "loud", "write debug, info, warning, error or critical"),
        ("MONITOR_LOG_FORMAT", "xml", "write auto, json or console"),
        ("MONITOR_RETENTION_DAYS", "0", "write one from 1 to "),
        ("MONITOR_RETENTION_HOURLY_DAYS", "13", "write 14 days or more"),
        ("MONITOR_RETENTION_DAILY_DAYS", "89", "write 90 days or more"),
        ("MONITOR_CONCURRENCY", "0", "write one from 1 to "),
        ("MONITOR_UPSTREAM_CONCURRENCY", "many", "is no whole number; write one, as in 16"),
        ("DATABASE_URL", "mysql://u:topsecret@h/d", "postgresql://"),
        ("DATABASE_URL", "postgresql://u:topsecret@h:99999/d", "postgresql://"),
        ("DATABASE_URL", "postgresql://[u:topsecret@h/d", "postgresql://"),
        ("MONITOR_POLICY_FALL", "0", "1 or more"),
        ("MONITOR_POLICY_FALL", "2.5", "whole number"),
        ("MONITOR_POLICY_JITTER", "0.5", "below 0.5"),
        ("MONITOR_POLICY_JITTER", "nan", "number"),
        ("MONITOR_POLICY_DAILY_COST_USD", "-1", "0 or more"),
        ("MONITOR_POLICY_SLOW_FACTOR", "0.5", "1 or more"),
        ("MONITOR_POLICY_WINDOW_FAILURES", "21", "raise window"),
        ("MONITOR_POLICY_DEEP_INTERVAL", "0", "longer than 0"),
        ("MONITOR_POLICY_CONNECT_TIMEOUT", "25", "not be longer than timeout"),
        ("MONITOR_POLICY_HOLD", "2h", "hold_max (1h)"),
        ("MONITOR_POLICY_HOLD", "soon", "30s, 5m or 1h"),
        ("MONITOR_POLICY_FAILBACK", "perhaps", "auto, manual, never"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable_and_the_mend(
    variable: str, value: str, mend: str
) -> None:
    message = refusal(None, {variable: value})
    assert message.startswith(f"{variable}: ")
    assert mend in message
    assert "topsecret" not in message


def test_a_value_in_the_file_is_refused_with_file_and_key(toml: Write) -> None:
    path = toml("port = 70000")
    assert refusal(path).startswith(f"{path}:port: ")
    path = toml("[purposes.chat]\nfall = 0")
    assert refusal(path).startswith(f"{path}:purposes.chat.fall: must be 1 or more")
    path = toml("[policy]\nwindow = 5\n[purposes.embeddings]\nwindow_failures = 6")
    assert refusal(path).startswith(f"{path}:policy.window: ")  # the general policy is wrong by itself
    path = toml("[policy]\nwindow = 10\n[purposes.embeddings]\nwindow_failures = 11")
    assert refusal(path).startswith(f"{path}:purposes.embeddings.window_failures: ")
    assert "postgres_port" in refusal(toml("postgres_port = []"))
    assert "groq_api_key" in refusal(toml("groq_api_key = 3"))


def test_a_policy_is_read_from_all_places_and_purposes_change_it(toml: Write) -> None:
    config = toml(
        "[policy]\nfall = 4\ndeep_interval = '1m'\nhold_seconds = 60\n"
        "[purposes.chat]\nrise = 3\nfailback = 'manual'\n[purposes.reranking]\ndeep_interval_seconds = 45.5"
    )
    settings = load(config, MONITOR_POLICY_FALL="5", MONITOR_POLICY_START_GRACE_SECONDS="1m30s")
    general = change_policy(Policy(), {"fall": 5, "deep_interval": 60, "hold": 60, "start_grace": 90})
    assert settings.policy_for(None) == settings.policy_for(Purpose.EMBEDDINGS) == general
    chat = change_policy(general, {"rise": 3, "failback": "manual"})
    assert settings.policy_for(Purpose.CHAT) == chat
    assert chat.failback is Failback.MANUAL
    assert settings.policy_for(Purpose.RERANKING).deep_interval == timedelta(seconds=45.5)
    assert origin(settings, "policy.fall") == "environment MONITOR_POLICY_FALL"
    assert shown(settings, "policy.deep_interval") == "1m"
    assert shown(settings, "purposes.chat.rise") == "3"
    assert origin(settings, "purposes.chat.rise") == f"{config}:purposes.chat.rise"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (30, 30),
        (2.5, 2.5),
        ("30", 30),
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("1h 30m", 5400),
        ("2d", 172800),
        ("250ms", 0.25),
        ("0", 0),
        ("1.5H", 5400),
    ],
)
def test_durations_are_numbers_or_have_units(written: object, seconds: float) -> None:
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written", ["", "s", "-1", "1y", "1h30", "1 2", True, None, -1, float("nan"), 1e12, "1e3"]
)
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(written)


def test_durations_are_shown_in_the_unit_that_fits() -> None:
    assert [show_duration(timedelta(seconds=one)) for one in (0, 0.25, 90, 300, 7200)] == [
        "0s",
        "0.25s",
        "90s",
        "5m",
        "2h",
    ]


def test_a_policy_error_tells_which_fields_are_to_blame() -> None:
    with pytest.raises(PolicyError) as caught:
        change_policy(Policy(), {"window": 3})
    assert caught.value.names == ("window_failures", "window")


def test_a_password_alone_is_no_database() -> None:
    assert load(POSTGRES_PASSWORD="pw-of-somebody", POSTGRES_USER="me").database is None


def test_a_host_or_a_database_name_is_one() -> None:
    by_host = load(POSTGRES_HOST="db", POSTGRES_PASSWORD="pw-of-somebody", POSTGRES_USER="me").database
    assert by_host is not None
    assert (by_host.url, by_host.host, by_host.port, by_host.user) == (None, "db", 5432, "me")
    by_name = load(POSTGRES_DB="ops").database
    assert by_name is not None
    assert (by_name.host, by_name.database, by_name.password) == ("localhost", "ops", None)
    socket = load(POSTGRES_HOST="/run/postgresql").database
    assert socket is not None
    assert socket.host == "/run/postgresql"


def test_the_url_wins_over_the_parts_and_borrows_only_a_password_that_it_lacks() -> None:
    parts = {"POSTGRES_HOST": "other", "POSTGRES_PASSWORD": "pw-of-somebody"}
    whole = load(None, parts, DATABASE_URL="postgresql+asyncpg://me:pw@db/ops").database
    assert whole is not None
    assert whole.url is not None
    assert (whole.host, whole.password) == (None, None)
    lacking = load(None, parts, DATABASE_URL="postgresql://me@db/ops").database
    assert lacking is not None
    assert lacking.password is not None
    assert lacking.password.get_secret_value() == "pw-of-somebody"


def test_provider_keys_are_gathered_by_provider() -> None:
    settings = load(
        OPENROUTER_API_KEY=SECRET, GEMINI_API_KEY="AIza-something", XAI_API_KEY="not ours to adopt"
    )
    assert {name: key.get_secret_value() for name, key in settings.provider_keys.items()} == {
        "openrouter": SECRET,
        "google": "AIza-something",
    }


def test_no_secret_is_shown(toml: Write) -> None:
    env = {
        "BYOK_ENCRYPTION_KEY": "fernet-" + SECRET,
        "MONITOR_OLD_ENCRYPTION_KEYS": f"old-{SECRET},older-{SECRET}",
        "DATABASE_URL": "postgresql://me:pa%73sword@db:5432/ops?password=other-password",
        "POSTGRES_PASSWORD": "third-password",
        "OPENAI_API_KEY": SECRET,
    }
    settings = load(None, env)
    texts = [repr(settings), str(settings), *(f"{line}" for line in settings.effective())]
    for text in texts:
        for secret in (SECRET, "pa%73sword", "password@", "other-password", "third-password"):
            assert secret not in text
    assert shown(settings, "database_url") == "postgresql://me:****@db:5432/ops?****"
    assert shown(settings, "old_encryption_keys") == "****, ****"
    assert {"fernet-" + SECRET, "old-" + SECRET, "older-" + SECRET, "pa%73sword", "password", SECRET} <= set(
        settings.secrets()
    )
    url = "postgresql://me@db/ops?sslmode=require&password=other%2Dpassword&sslpassword=fourth"
    assert set(load(DATABASE_URL=url).secrets()) == {url, "other-password", "fourth"}
    assert load(DATABASE_URL="postgresql://me@db/ops?sslmode=require").secrets() == ()
    assert SECRET not in refusal(toml(f"encryption_key = ['{SECRET}']"))
    assert SECRET not in refusal(MONITOR_PORT=SECRET)
    assert SECRET not in refusal(MONITOR_POLICY_FALL=SECRET)


def test_a_file_that_others_may_read_is_a_warning_only_when_it_holds_a_secret(toml: Write) -> None:
    path = toml("encryption_key = 'x'")
    assert load(path).warnings == ()
    path.chmod(0o644)
    assert "chmod 600" in load(path).warnings[0]
    path.write_text("port = 1")
    assert load(path).warnings == ()


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("port = true", "port: is no whole number; write one without quotes"),
        ("port = 1.5", "port: is no whole number; write one, as in 9780"),
        (
            "retention_days = 99999999999999999999999",
            "retention_days: is out of range; write one from 1 to 3650",
        ),
        ("port = inf", "port: is no whole number; write one, as in 9780"),
        (f"[policy]\nhold = 1{'0' * 400}", "policy.hold: is no duration; write seconds or a unit"),
        (f"port = 1{'0' * 5000}", "a number of thousands of digits"),
        (f"port = {'[' * 5000}{']' * 5000}", "as many brackets"),
        ("host = 5", "host: is no text; write it in quotes"),
        ("encryption_key = 5", "encryption_key: is no text; write it in quotes"),
        ("allowed_hosts = [1]", "allowed_hosts: is no text; write it in quotes"),
        ("allowed_hosts = 1", 'allowed_hosts: is no list; write one of texts, as in ["one", "two"]'),
        ("data_dir = 5", "data_dir: is no text; write it in quotes"),
        ('data_dir = ""', "data_dir: is empty; write a value, or leave it out"),
        ('encryption_key = " "', "encryption_key: is empty; write a value, or leave it out"),
        ('openai_api_key = ""', "openai_api_key: is no text; write the key in quotes, or leave it out"),
        ('allow_metadata_addresses = "perhaps"', "allow_metadata_addresses: is neither true nor false"),
        ('tls_cert = "/c"', "tls_cert: wants tls_key (MONITOR_TLS_KEY) too; name both files, or neither"),
        ('tls_key = "/k"', "tls_key: wants tls_cert (MONITOR_TLS_CERT) too"),
        ("policy = 3", "policy: is a table; write [policy] above its keys"),
        ("[purposes]\nchat = 3", "purposes.chat: is a table; write [purposes.chat] above its keys"),
        ("[policy]\nfall = 3\nfall_span = 1\nfall_span_seconds = 2", "says again what fall_span says"),
        ("host = localhost", 'write NAME = VALUE, with texts in quotes, as in host = "127.0.0.1"'),
    ],
)
def test_each_kind_of_mistake_in_the_file_is_told_with_its_mend(toml: Write, text: str, mend: str) -> None:
    path = toml(text)
    message = refusal(path)
    assert message.startswith(f"{path}:")
    assert mend in message


def test_a_folder_of_credentials_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    place = str(tmp_path / "creds")
    assert load(CREDENTIALS_DIRECTORY=place).warnings == (
        f"CREDENTIALS_DIRECTORY: {place} is no folder, and no credential was read",
    )


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_every_secret_may_be_a_credential_a_file_or_a_variable(
    tmp_path: Path, toml: Write, name: str
) -> None:
    value = "postgresql://db/name" if name == "database_url" else SECRET
    beside = {"POSTGRES_HOST": "db"} if name == "postgres_password" else {}
    (tmp_path / name).write_text(f"{value}\n")
    variable = VARIABLES[name]
    config = toml(f'{name} = "{value}"')
    ways = {
        f"environment {variable}": {variable: value},
        f"credential {name}": {"CREDENTIALS_DIRECTORY": str(tmp_path)},
        f"{tmp_path / name} ({variable}_FILE)": {f"{variable}_FILE": str(tmp_path / name)},
        f"{config}:{name}": {"MONITOR_CONFIG": str(config)},
    }
    for place, variables in ways.items():
        settings = load(None, {**beside, **variables})
        assert origin(settings, name) == place
        assert shown(settings, name) == (value if name == "database_url" else "****")
        if name != "database_url":
            assert settings.secrets() == (SECRET,)


def test_an_empty_variable_and_an_empty_credential_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "encryption_key").write_text("\n")
    settings = load(BYOK_ENCRYPTION_KEY="", MONITOR_PORT=" ", CREDENTIALS_DIRECTORY=str(tmp_path))
    assert (settings.encryption_key, settings.port, settings.warnings) == (None, 9780, ())


def test_files_that_cannot_be_read_are_named_with_their_variable(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert refusal(DATABASE_URL_FILE=str(missing)).startswith(f"DATABASE_URL_FILE: {missing} cannot be read")
    missing.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refusal(DATABASE_URL_FILE=str(missing))
    missing.write_text("\n")
    assert "is empty" in refusal(DATABASE_URL_FILE=str(missing))
    missing.write_text("x" * 70_000)
    assert "larger" in refusal(DATABASE_URL_FILE=str(missing))
    assert "larger" in refusal(DATABASE_URL_FILE="/dev/zero")
    with pytest.raises(SettingsError, match="generate-key --env-file"):
        load_settings(None, {}, tmp_path / "none.env")


def test_a_place_that_the_system_does_not_let_us_look_at_is_named(tmp_path: Path) -> None:
    place = tmp_path / ("a" * 300)  # as a folder that is closed to this account, and whoever runs this
    with pytest.raises(SettingsError, match=r"a: cannot be read \(File name too long\); mend"):
        load_settings(None, {}, place)
    assert refusal(CREDENTIALS_DIRECTORY=str(place)) == (
        f"CREDENTIALS_DIRECTORY: {place} cannot be read (File name too long); mend its path or mode"
    )


def test_a_file_variable_exists_for_secrets_only(tmp_path: Path) -> None:
    settings = load(MONITOR_PORT_FILE=str(tmp_path / "port"))
    assert settings.warnings == (
        "MONITOR_PORT_FILE: only a secret is read from a file; set MONITOR_PORT itself",
    )


def test_credentials_hold_any_setting_and_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "postgres_password").write_text("pw-of-somebody\n")
    (tmp_path / "port").write_text("70000")
    (tmp_path / "something_else").write_bytes(b"\xff")
    assert refusal(CREDENTIALS_DIRECTORY=str(tmp_path)).startswith("credential port: ")
    (tmp_path / "port").write_text("7000")
    settings = load(CREDENTIALS_DIRECTORY=str(tmp_path), POSTGRES_HOST="db")
    assert settings.port == 7000
    assert settings.database is not None
    assert settings.database.password is not None


def test_a_demonstration_heeds_nothing_of_its_surroundings(tmp_path: Path) -> None:
    (tmp_path / "encryption_key").write_text(SECRET)
    env = {
        variable: "word"
        for name, variable in VARIABLES.items()
        if name.startswith("postgres") or "key" in name
    }
    env |= {"DATABASE_URL": "not even a url", "DATABASE_URL_FILE": "/nowhere", "MONITOR_CONFIG": "/nowhere"}
    env |= {"CREDENTIALS_DIRECTORY": str(tmp_path), "MONITOR_PORT": "8181"}
    settings = load_settings(None, env, ignore_outside=True)
    assert (settings.database, settings.encryption_key, settings.old_encryption_keys) == (None, None, ())
    assert settings.provider_keys == {}
    assert settings.port == 8181
    assert settings.metrics_listen is None
    assert Listen("0.0.0.0", 9781) == load(MONITOR_METRICS_LISTEN=":9781").metrics_listen
