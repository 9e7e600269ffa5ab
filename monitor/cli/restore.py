"""`llm-monitor restore`: an embedded database out of a backup."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.backup import KEY_SENTENCES, BackupFile, describe, refuse_external, tell
from monitor.cli.console import show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, quiet_logs, read_settings
from monitor.cli.refusal import Refused

if TYPE_CHECKING:
    from monitor.storage.backup_file import Backup


def restore(
    file: BackupFile,
    check: Annotated[
        bool, typer.Option("--check", help="Look whether the file is whole and fits; change nothing.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Make the embedded database of a backup; the daemon must not run, and no database be there."""
    from monitor.storage.backup_file import open_backup
    from monitor.storage.embedded_backup import check_fits

    settings = read_settings(config, env_file, data_dir)
    quiet_logs(settings)
    with open_backup(file) as backup:
        check_fits(backup.manifest)
        if not check:
            refuse_external(settings, "unzip -p FILE database.dump | pg_restore --dbname={url}")
            _restore(settings.data_dir, backup)
        manifest = backup.manifest
    if as_json:
        show_json({**tell(file, manifest), "restored": not check})
        return 0
    made = f"{describe(file, manifest)}, made at {manifest.created_at} by {manifest.program}"
    if check:
        print(f"{file} is whole: {made}")
    else:
        print(f"restored {file} into {settings.data_dir}: {made}")
    print(KEY_SENTENCES[manifest.key].format(folder=settings.data_dir))
    if not check:
        print("start it: llm-monitor run")
    return 0


def _restore(data_dir: Path, backup: "Backup") -> None:
    from monitor.jobs.open_keyring import KEY_FILE
    from monitor.storage.embedded_backup import owned, restore

    with owned(data_dir) as folder:
        made = _put_key(folder.path / KEY_FILE, backup.key())
        try:
            asyncio.run(restore(folder, backup))
        except BaseException:
            if made and not folder.cluster.exists():
                (folder.path / KEY_FILE).unlink(missing_ok=True)
            raise


def _put_key(path: Path, key: bytes | None) -> bool:
    """The key first: a database without it is of no use. Whether it was made now."""
    from monitor.keyring.files import create

    if key is None:
        return False
    try:
        made = not os.path.lexists(path)
        if made:
            owner = path.parent.stat()
            account = (owner.st_uid, owner.st_gid) if os.geteuid() == 0 else None
            create(path, key.decode("ascii"), owner=account)
        there = path.read_bytes()
    except OSError as error:
        raise Refused(
            f"{path} can't be read or made ({error.strerror}): free space, mend its owner and mode, "
            f"or move it away first (mv {path} {path}.before)"
        ) from None
    if there.split() != key.split():
        raise Refused(
            f"{path} is another key than the backup's: move it away first (mv {path} {path}.before)"
        )
    return made
