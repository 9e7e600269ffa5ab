"""`llm-monitor rotate-key` and `encrypt-server-keys`: stored keys sealed anew."""

import asyncio
import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.console import show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, quiet_logs, read_settings
from monitor.cli.refusal import Refused

if TYPE_CHECKING:
    from monitor.cli.sealing_report import Sealing
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
    as_json: AsJson = False,
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
            as_json=as_json,
        )
    )


def encrypt_server_keys(
    dry_run: DryRun = False,
    application_stopped: Stopped = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Seal the keys of servers that stand in plain text, as the older application left them."""
    settings = read_settings(config, env_file, data_dir)
    quiet_logs(settings)
    from monitor.cli import sealing_report

    found = asyncio.run(_encrypt(settings, dry_run=dry_run, stopped=application_stopped))
    if as_json:
        show_json(sealing_report.as_dict(found))
    else:
        sealing_report.show_encryption(found)
    return 0


async def _rotate(
    settings: "Settings", *, dry_run: bool, stopped: bool, skip: bool, prune: bool, as_json: bool
) -> int:
    from monitor.cli import sealing_report
    from monitor.cli.database import open_database
    from monitor.keyring import replace_keys

    file = _key_file(settings)
    if prune and file is None:
        raise Refused(
            "--prune: the keys are not in a file of ours: take the earlier one out of "
            "MONITOR_OLD_ENCRYPTION_KEYS when no row needs it"
        )
    async with open_database(settings) as connection:
        found = await _seal_anew(connection, settings, file, dry_run=dry_run, stopped=stopped, skip=skip)
    if not as_json:
        sealing_report.show_rotation(found)
    pruned = found.done and prune and file is not None
    if pruned and file is not None:
        replace_keys(file, _keys(file)[:1])
    if as_json:
        show_json(sealing_report.as_dict(found, file, pruned=pruned))
    elif found.done and file is not None:
        sealing_report.show_key_file(file, pruned=pruned)
    return 0 if found.done or found.dry_run else 1


async def _seal_anew(
    connection: Any, settings: "Settings", file: Path | None, *, dry_run: bool, stopped: bool, skip: bool
) -> "Sealing":
    from monitor.cli.sealing_report import Sealing
    from monitor.jobs.seal_keys import living_daemons, refuse_others, rotate, survey, wait_for_daemons
    from monitor.storage.sealing import claim_sealing

    if not dry_run:
        await claim_sealing(connection)
    keyring = _keyring(settings)
    found = await survey(connection, keyring)
    if found.unreadable and not skip:
        return Sealing(done=False, current=len(found.current), unreadable=found.unreadable, plain=found.plain)
    # What an interrupted rotation left behind is finished first: it needs no further key.
    renew = file is not None and not found.stale
    wanted = found.current if renew else found.stale
    if not stopped:
        refuse_others(wanted)
    if dry_run:
        if not renew:
            await wait_for_daemons(connection, keyring.ids[0])
        return Sealing(
            done=False,
            dry_run=True,
            sealed=wanted,
            current=0 if renew else len(found.current),
            unreadable=found.unreadable,
            plain=found.plain,
            new_key=renew,
        )
    if file is not None and renew:
        _renew(file, keyring)
    await wait_for_daemons(connection, keyring.ids[0], FILE_SECONDS if file is not None else 0.0)
    done = await rotate(
        connection, keyring, application_stopped=stopped, skip_unreadable=skip, by=_who("rotate-key")
    )
    return Sealing(
        sealed=done.stale,
        current=len(done.current),
        unreadable=done.unreadable,
        plain=done.plain,
        behind=[one for one in await living_daemons(connection) if one.key_ids[:1] != keyring.ids[:1]],
        new_key=renew,
    )


async def _encrypt(settings: "Settings", *, dry_run: bool, stopped: bool) -> "Sealing":
    from monitor.cli.database import open_database
    from monitor.cli.sealing_report import Sealing
    from monitor.jobs.seal_keys import encrypt_server_keys, name_rows, survey, wait_for_daemons

    async with open_database(settings) as connection:
        keyring = _keyring(settings)
        found = (await survey(connection, keyring)).plain
        if not found:
            return Sealing(done=not dry_run, dry_run=dry_run)
        if not stopped:
            raise Refused(
                f"{name_rows(found)}: the older application reads these keys as they stand: stop it, or move "
                "it to monitor.integration, and say --application-stopped; nothing was changed"
            )
        await wait_for_daemons(connection, keyring.ids[0])
        if dry_run:
            return Sealing(done=False, dry_run=True, sealed=found, plain=found)
        done = await encrypt_server_keys(connection, keyring, by=_who("encrypt-server-keys"))
    return Sealing(sealed=done)


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


def _who(command: str) -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.geteuid()}"
    return f"{name} (llm-monitor {command})"
