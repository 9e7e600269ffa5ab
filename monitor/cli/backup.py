"""`llm-monitor backup`: the embedded database in one file, while it is in use."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.console import show_json
from monitor.cli.options import AsJson, ConfigFile, DataDir, EnvFile, quiet_logs, read_settings
from monitor.cli.refusal import Refused

if TYPE_CHECKING:
    from monitor.settings import Settings
    from monitor.storage.address import Address
    from monitor.storage.backup_file import Manifest

KEY_SENTENCES = {
    "inside": "the encryption key is inside: whoever has this file can open the stored keys",
    "left out": "the encryption key is not inside: without {folder}/encryption.key the stored keys are lost",
    "in the settings": "the encryption key is not inside: it stands in the settings, so keep a copy of it",
    "none": "there is no encryption key yet, and none is inside",
}
"""Where the key is, in words; by the manifest's word."""

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="The backup, a zip file.")]


def backup(
    file: BackupFile,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Leave the encryption key out; keep it elsewhere.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Save the embedded database and its encryption key into one file, while the daemon runs."""
    settings = read_settings(config, env_file, data_dir)
    quiet_logs(settings)
    refuse_external(settings, "pg_dump --format=custom --file=FILE {url}")
    manifest, others = asyncio.run(_save(settings, file, force=force, without_key=without_key))
    if others:
        print(
            f"llm-monitor: warning: other databases of this server are not in it: {', '.join(others)}",
            file=sys.stderr,
        )
    if as_json:
        show_json({**tell(file, manifest), "other_databases": others})
        return 0
    print(f"saved {settings.data_dir} to {file}: {describe(file, manifest)}")
    print(KEY_SENTENCES[manifest.key].format(folder=settings.data_dir))
    return 0


def refuse_external(settings: "Settings", instead: str) -> None:
    """Another database than the embedded one has its own tools."""
    if settings.database is not None:
        from monitor.settings.database import address_of

        url = address_of(settings.database).describe()
        raise Refused(
            f"{settings.database_named_by()} names a database that is not the embedded one, and whose owner "
            f"saves it: {instead.format(url=url)}; keep the encryption key beside it"
        )


def describe(file: Path, manifest: "Manifest") -> str:
    """How large and how old."""
    last = manifest.migrations[-1][1] if manifest.migrations else "no migration"
    return f"{file.stat().st_size / 1e6:.1f} MB, PostgreSQL {manifest.postgres}, up to {last}"


def tell(file: Path, manifest: "Manifest") -> dict[str, object]:
    """The same for a program."""
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "created_at": manifest.created_at,
        "program": manifest.program,
        "postgres": manifest.postgres,
        "migrations": [name for _, name in manifest.migrations],
        "encryption_key": manifest.key,
    }


async def _save(
    settings: "Settings", file: Path, *, force: bool, without_key: bool
) -> "tuple[Manifest, list[str]]":
    from monitor import __version__
    from monitor.storage.embedded_backup import other_databases, save
    from monitor.storage.visit import visit

    elsewhere = "in the settings" if settings.encryption_key else "left out" if without_key else None
    async with (
        _running(settings) as address,
        visit(address, named_by="MONITOR_DATA_DIR", command_timeout=None) as connection,
    ):
        # Looked for first: nothing may fail once the file is written whole.
        others = await other_databases(connection)
        manifest = await save(
            connection,
            address,
            file,
            now=datetime.now(UTC),
            program=__version__,
            keys=lambda: _keys(settings),
            elsewhere=elsewhere,
            force=force,
        )
        return manifest, others


@asynccontextmanager
async def _running(settings: "Settings") -> "AsyncIterator[Address]":
    """The daemon's PostgreSQL; when none runs and there is one to run, it runs for us."""
    from monitor.storage.embedded import EmbeddedServer
    from monitor.storage.embedded_attach import attach
    from monitor.storage.embedded_folder import EmbeddedNotRunning, Folder

    try:
        address = attach(settings.data_dir)
    except EmbeddedNotRunning:
        if not Folder(settings.data_dir.resolve()).cluster.exists():
            raise
        server = EmbeddedServer(settings.data_dir, group=settings.pg_group)
        try:
            yield await server.start()
        finally:
            await server.stop()
        return
    yield address


def _keys(settings: "Settings") -> Sequence[str]:
    """Those of the data folder's file."""
    from monitor.jobs.open_keyring import KEY_FILE
    from monitor.keyring import KeyringError, read_keys

    path = settings.data_dir / KEY_FILE
    if not os.path.lexists(path):  # a link into nowhere is no "none yet"
        return ()
    try:
        return read_keys(path)
    except KeyringError as error:
        raise Refused(f"{error}; or leave it out by --without-key") from None
