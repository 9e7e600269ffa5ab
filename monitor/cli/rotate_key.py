"""`llm-monitor rotate-key` and `encrypt-server-keys`: stored keys sealed anew."""

import asyncio
import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.console import plain
from monitor.cli.options import ConfigFile, DataDir, EnvFile, quiet_logs, read_settings
from monitor.cli.refusal import Refused

if TYPE_CHECKING:
    from monitor.jobs.seal_keys import Survey
    from monitor.keyring import Keyring
    from monitor.settings import Settings

FILE_SECONDS = 20.0  # a daemon looks at its key file with every heartbeat, which is every 5 s

Stopped = Annotated[
    bool,
    typer.Option(
        "--application-stopped", help="Nobody runs who writes or reads keys without knowing the new one."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


def rotate_key(
    dry_run: DryRun = False,
    application_stopped: Stopped = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave keys that do not open as they are.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Afterwards take earlier keys out of the data folder's key file.")
    ] = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Seal every stored key with the current encryption key; the embedded database gets a new one first."""
    settings = read_settings(config, env_file, data_dir)
    quiet_logs(settings)
    return asyncio.run(
        _rotate(
            settings,
            dry_run=dry_run,
            stopped=application_stopped,
            skip=skip_unreadable,
            prune=prune,
        )
    )


def encrypt_server_keys(
    dry_run: DryRun = False,
    application_stopped: Stopped = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Seal the keys of servers that stand in plain text, as the older application left them."""
    settings = read_settings(config, env_file, data_dir)
    quiet_logs(settings)
    return asyncio.run(_encrypt(settings, dry_run=dry_run, stopped=application_stopped))


async def _rotate(settings: "Settings", *, dry_run: bool, stopped: bool, skip: bool, prune: bool) -> int:
    from monitor.cli.database import open_database
    from monitor.jobs.seal_keys import name_rows, refuse_others, rotate, survey, wait_for_daemons
    from monitor.keyring import replace_keys
    from monitor.storage.sealing import claim_sealing

    async with open_database(settings) as connection:
        if not dry_run:
            await claim_sealing(connection)
        keyring, file = _keyring(settings), _key_file(settings)
        if prune and file is None:
            raise Refused(
                "--prune: the keys are not in a file of ours: take the earlier one out of "
                "MONITOR_OLD_ENCRYPTION_KEYS when no row needs it"
            )
        found = await survey(connection, keyring)
        if found.unreadable and not skip:
            print(f"opens with none of the keys: {plain(name_rows(found.unreadable))}")
            print("nothing was changed: store them anew, or say --skip-unreadable to leave them as they are")
            return 1
        # What an interrupted rotation left behind is finished first: it needs no further key.
        renew = file is not None and not found.stale
        wanted = found.current if renew else found.stale
        if not stopped:
            refuse_others(wanted)
        if dry_run:
            if not renew:
                await wait_for_daemons(connection, keyring.ids[0])
            print(f"would seal {_count(len(wanted))} with {'a new key' if renew else 'the current key'}")
            return 0
        if file is not None and renew:
            _renew(file, keyring)
        await wait_for_daemons(connection, keyring.ids[0], FILE_SECONDS if file is not None else 0.0)
        done = await rotate(
            connection, keyring, application_stopped=stopped, skip_unreadable=skip, by=_who("rotate-key")
        )
        await _tell(connection, keyring, done)
        if prune and file is not None:
            replace_keys(file, _keys(file)[:1])
            print(f"{file} holds the new key alone: older copies of the database need the earlier ones")
        elif file is not None:
            print(f"{file} holds the new key and the earlier ones: keep a copy elsewhere")
    return 0


async def _tell(connection: Any, keyring: "Keyring", done: "Survey") -> None:
    from monitor.jobs.seal_keys import living_daemons, name_rows

    if done.stale:
        print(f"sealed {_count(len(done.stale))} with the current key: {plain(name_rows(done.stale))}")
    else:
        print(f"nothing to do: the current key has sealed all {len(done.current)} stored keys")
    if done.unreadable:
        print(f"left as they are, for they do not open: {plain(name_rows(done.unreadable))}")
    if done.plain:
        print(f"in plain text: {plain(name_rows(done.plain))}; llm-monitor encrypt-server-keys seals them")
    for daemon in await living_daemons(connection):
        if daemon.key_ids[:1] != keyring.ids[:1]:
            print(
                f"the daemon on {plain(daemon.host)} (pid {daemon.pid}) still seals with an earlier key: "
                "make the current one its BYOK_ENCRYPTION_KEY before you take the earlier one away"
            )


async def _encrypt(settings: "Settings", *, dry_run: bool, stopped: bool) -> int:
    from monitor.cli.database import open_database
    from monitor.jobs.seal_keys import encrypt_server_keys, name_rows, survey, wait_for_daemons

    async with open_database(settings) as connection:
        keyring = _keyring(settings)
        found = (await survey(connection, keyring)).plain
        if not found:
            print("nothing to do: no server's key stands in plain text")
            return 0
        if not stopped:
            raise Refused(
                f"{name_rows(found)}: the older application reads these keys as they stand: stop it, or move "
                "it to monitor.integration, and say --application-stopped; nothing was changed"
            )
        await wait_for_daemons(connection, keyring.ids[0])
        if dry_run:
            print(f"would seal {_count(len(found))}: {plain(name_rows(found))}")
            return 0
        done = await encrypt_server_keys(connection, keyring, by=_who("encrypt-server-keys"))
    print(f"sealed {_count(len(done))}: {plain(name_rows(done))}")
    return 0


def _keyring(settings: "Settings") -> "Keyring":
    from monitor.jobs.open_keyring import load_keyring

    current, old = settings.encryption_key, settings.old_encryption_keys
    keyring = load_keyring(
        current.get_secret_value() if current else None,
        tuple(key.get_secret_value() for key in old),
        settings.data_dir if settings.database is None else None,
    )
    if keyring is None:
        raise Refused("BYOK_ENCRYPTION_KEY is not set: name the key that seals (llm-monitor generate-key)")
    return keyring


def _key_file(settings: "Settings") -> Path | None:
    from monitor.jobs.open_keyring import KEY_FILE

    kept_by_us = settings.database is None and settings.encryption_key is None
    return settings.data_dir / KEY_FILE if kept_by_us else None


def _keys(file: Path) -> tuple[str, ...]:
    from monitor.keyring import read_keys

    return read_keys(file)


def _renew(file: Path, keyring: "Keyring") -> None:
    """Put a new key before the others: whoever reads the file from now on opens what it will seal."""
    from monitor.keyring import generate, replace_keys

    replace_keys(file, (generate(), *_keys(file)))
    keyring.refresh()


def _count(number: int) -> str:
    return f"{number} stored key{'' if number == 1 else 's'}"


def _who(command: str) -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.geteuid()}"
    return f"{name} (llm-monitor {command})"
