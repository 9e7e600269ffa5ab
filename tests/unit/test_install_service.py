"""The service's files: what is put where, what stays, and what is refused."""

import os
from pathlib import Path

import pytest

from monitor.cli import run_command
from monitor.cli.refusal import Refused
from monitor.cli.service_files import quoted, unit_for
from monitor.cli.service_place import closed, unreadable
from monitor.settings import load_settings
from monitor.settings.names import SECRETS, VARIABLES

SHIPPED = Path(__file__).parents[2] / "systemd"
PROGRAM = Path("/opt/llm-monitor/bin/llm-monitor")
UNIT = "etc/systemd/system/llm-monitor.service"
CONFIGURATION = "etc/llm-monitor/llm-monitor.toml"


def install(root: Path, *more: str) -> int:
    return run_command(["install-service", "--root", str(root), "--program", str(PROGRAM), *more])


def files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text(errors="replace")
        for path in root.rglob("*")
        if path.is_file()
    }


def test_everything_is_put_in_place_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(tmp_path) == 0
    assert files(tmp_path) == {
        UNIT: (SHIPPED / "llm-monitor.service").read_text(),
        f"{UNIT}.d/local.conf": (SHIPPED / "llm-monitor.service.d/local.conf").read_text(),
        CONFIGURATION: (SHIPPED / "llm-monitor.toml").read_text(),
    }
    credentials = tmp_path / "etc/llm-monitor/credentials"
    assert credentials.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / UNIT).stat().st_mode & 0o777 == 0o644
    capsys.readouterr()
    before = files(tmp_path)
    assert install(tmp_path) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert files(tmp_path) == before


def test_a_unit_of_another_release_is_replaced_and_what_is_the_operators_stays(tmp_path: Path) -> None:
    install(tmp_path)
    former = b"[Service]\nExecStart=/usr/bin/f\xf6rmer\r\n"
    (tmp_path / UNIT).write_bytes(former)
    (tmp_path / f"{UNIT}.d/local.conf").write_text("[Service]\nMemoryMax=1G\n")
    (tmp_path / CONFIGURATION).write_text("port = 1\n")
    assert install(tmp_path) == 0
    found = files(tmp_path)
    assert found[UNIT] == (SHIPPED / "llm-monitor.service").read_text()
    assert (tmp_path / f"{UNIT}.old").read_bytes() == former
    assert found[f"{UNIT}.d/local.conf"] == "[Service]\nMemoryMax=1G\n"
    assert found[CONFIGURATION] == "port = 1\n"


def test_a_dry_run_says_exactly_what_it_would_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert install(tmp_path, "--dry-run") == 0
    assert files(tmp_path) == {}
    told = capsys.readouterr().out.splitlines()
    added = [line[1:] for line in told if line.startswith("+") and not line.startswith("+++")]
    named = [line.removeprefix("+++ ") for line in told if line.startswith("+++")]
    assert "+++" not in "".join(added)
    install(tmp_path)
    assert added == [line for path in named for line in Path(path).read_text().splitlines()]
    assert sorted(named) == sorted(str(tmp_path / name) for name in files(tmp_path))


def test_a_dry_run_shows_how_a_unit_would_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path)
    unit = tmp_path / UNIT
    unit.write_text(unit.read_text().replace("WatchdogSec=30s", "WatchdogSec=31s"))
    capsys.readouterr()
    assert install(tmp_path, "--dry-run") == 0
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if line.startswith(("-W", "+W"))] == [
        "-WatchdogSec=31s",
        "+WatchdogSec=30s",
    ]
    assert "WatchdogSec=31s" in unit.read_text()


def test_everybody_may_pass_to_what_the_service_reads_and_nobody_to_its_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a machine where root has a umask that closes everything."""
    former = os.umask(0o077)
    try:
        assert install(tmp_path / "root") == 0
    finally:
        os.umask(former)
    modes = {
        str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777
        for path in (tmp_path / "root").rglob("*")
    }
    assert modes.pop("root/etc/llm-monitor/credentials") == 0o700
    assert set(modes.values()) == {0o755, 0o644}
    credentials = tmp_path / "root/etc/llm-monitor/credentials"
    credentials.chmod(0o755)
    capsys.readouterr()
    assert install(tmp_path / "root") == 0
    assert f"closed to other accounts {credentials}/ (mode 0700)" in capsys.readouterr().out
    assert credentials.stat().st_mode & 0o777 == 0o700
    (tmp_path / "root" / CONFIGURATION).chmod(0o600)
    credentials.chmod(0o750)
    assert install(tmp_path / "root", "--dry-run") == 0
    told = capsys.readouterr().out
    assert "llm-monitor.toml (mode 0600)" in told
    assert "credentials/ (mode 0750)" in told
    assert "nothing to do" in told


def test_a_service_that_is_masked_stays_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = tmp_path / UNIT
    unit.parent.mkdir(parents=True)
    unit.symlink_to("/dev/null")
    assert install(tmp_path) == 2
    assert "is masked" in capsys.readouterr().err
    assert unit.readlink() == Path("/dev/null")


def test_uninstalling_goes_on_where_it_was_broken_off(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / UNIT).write_text("[Service]\n")
    install(tmp_path)
    (tmp_path / UNIT).unlink()
    (tmp_path / UNIT).symlink_to("nowhere")
    assert install(tmp_path, "--uninstall") == 0
    assert [path.name for path in (tmp_path / UNIT).parent.iterdir()] == ["llm-monitor.service.d"]


def test_uninstalling_leaves_settings_and_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path)
    assert install(tmp_path, "--uninstall", "--dry-run") == 0
    assert (tmp_path / UNIT).exists()
    assert install(tmp_path, "--uninstall") == 0
    assert sorted(files(tmp_path)) == [CONFIGURATION, f"{UNIT}.d/local.conf"]
    capsys.readouterr()
    assert install(tmp_path, "--uninstall") == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/opt/llm-monitor/bin/llm-monitor", "/opt/llm-monitor/bin/llm-monitor"),
        ("/srv/my tools/llm-monitor", '"/srv/my tools/llm-monitor"'),
        ("/srv/100%/llm-monitor", '"/srv/100%%/llm-monitor"'),
        ('/srv/a"b\\c/llm-monitor', '"/srv/a\\"b\\\\c/llm-monitor"'),
    ],
)
def test_a_path_is_one_word_of_a_command(path: str, word: str) -> None:
    assert quoted(Path(path)) == word
    assert f"ExecStart={word} run" in unit_for(Path(path)).splitlines()


@pytest.mark.parametrize("path", ["/srv/$HOME/llm-monitor", "/srv/a\nb/llm-monitor"])
def test_a_path_that_no_unit_can_name_is_refused(path: str) -> None:
    with pytest.raises(Refused, match="plainer path"):
        quoted(Path(path))


def test_a_program_that_only_root_reads_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "private" / "bin"
    inner.mkdir(parents=True)
    program = inner / "llm-monitor"
    program.touch(mode=0o700)
    assert "llm-monitor is closed" in (closed(program) or "")
    program.chmod(0o755)
    inner.parent.chmod(0o700)
    assert f"{inner.parent} is closed" in (closed(program) or "")
    assert closed(Path("/usr/bin/env").resolve()) is None


@pytest.mark.parametrize("hidden", ["/home", "/root", "/tmp", "/var/tmp", "/run/user"])  # noqa: S108
def test_a_program_in_a_folder_that_the_service_does_not_see_is_named(hidden: str) -> None:
    assert f"below {hidden}," in (unreadable(Path(hidden) / "venv/bin/llm-monitor") or "")


def test_a_program_elsewhere_is_for_another_root_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["install-service", "--program", str(PROGRAM)]) == 2
    assert "--root" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "etc").write_text("a file")
    assert install(tmp_path) == 2
    assert str(tmp_path / "etc") in capsys.readouterr().err


def test_the_example_configuration_is_valid_as_it_is_and_with_all_of_it_in_force(tmp_path: Path) -> None:
    example = (SHIPPED / "llm-monitor.toml").read_text()
    whole = tmp_path / "whole.toml"
    # What is commented out begins right after the sign; what is said stands after a space.
    whole.write_text("\n".join(line.removeprefix("#") for line in example.splitlines() if line[:2] != "# "))
    as_it_is, in_force = load_settings(SHIPPED / "llm-monitor.toml", {}), load_settings(whole, {})
    assert as_it_is.origins == {}
    assert in_force.warnings == ()
    shown = {"postgres_host", "postgres_db", "postgres_port", "postgres_user"}
    shown |= {"allowed_hosts", "trust_proxy", "metrics_listen"}
    for name in in_force.origins:
        if name in VARIABLES and name not in shown:
            assert getattr(in_force, name) == getattr(as_it_is, name), f"{name}: no default"
    assert in_force.policy == as_it_is.policy
    assert not in_force.origins.keys() & SECRETS


def test_every_secret_of_the_service_may_be_absent() -> None:
    unit = (SHIPPED / "llm-monitor.service").read_text().splitlines()
    loaded = {line.partition("=")[2].partition(":")[0] for line in unit if line.startswith("LoadCredential=")}
    stood_in = {
        line.partition("=")[2].partition(":")[0] for line in unit if line.startswith("SetCredential=")
    }
    assert loaded == stood_in
    assert {"encryption_key", "database_url", "postgres_password"} <= loaded <= SECRETS
