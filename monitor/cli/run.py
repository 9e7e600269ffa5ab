"""`llm-monitor run`: the daemon, or the demonstration of it."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitor.cli.options import ConfigFile, DataDir, EnvFile, read_settings
from monitor.cli.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.keyring import Keyring
    from monitor.settings import Settings


def run(
    demo: Annotated[
        bool, typer.Option("--demo", help="Show a failover and a failback on two local servers.")
    ] = False,
    adopt_env: Annotated[
        bool, typer.Option("--adopt-env", help="Take up the keys and servers that are found on this machine.")
    ] = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    data_dir: DataDir = None,
) -> int:
    """Probe, judge and move, until told to stop."""
    if demo and adopt_env:
        raise typer.BadParameter("--demo heeds nothing of the environment: leave out --adopt-env, or --demo")
    settings = read_settings(config, env_file, data_dir, ignore_outside=demo, warn=False)
    if demo:
        return asyncio.run(_demonstrate(settings, data_dir and settings.data_dir))
    before = dict(os.environ)
    return asyncio.run(
        _run(
            settings,
            adopt_env,
            lambda: read_settings(config, env_file, data_dir, warn=False, env=before),
        )
    )


async def _run(settings: "Settings", adopt_env: bool, read_again: "Callable[[], Settings]") -> int:
    import faulthandler

    import structlog

    from monitor.app import Daemon, leave
    from monitor.jobs.adopt_environment import offer_environment
    from monitor.jobs.open_keyring import load_keyring
    from monitor.keyring import KeyringError
    from monitor.logs import configure
    from monitor.probing.catalog import load_catalog
    from monitor.service_manager import ServiceManager
    from monitor.settings.names import VARIABLES
    from monitor.web.certificate import CertificateError
    from monitor.web.listen import ListenError

    # A watchdog ends us by SIGABRT: where we stood still is told then, by frames alone.
    faulthandler.enable()
    redactor = configure(level=settings.log_level, format=settings.log_format)
    redactor.add(*settings.secrets())
    for warning in settings.warnings:
        structlog.get_logger().warning("setting_doubtful", reason=warning)

    async def offer(connection: Any, keyring: "Keyring | None") -> None:
        await offer_environment(
            connection,
            keyring,
            provider_keys=settings.provider_keys,
            catalog=load_catalog(),
            take_up=adopt_env,
        )

    if settings.allow_metadata_addresses:
        # Wherever it was said: the library inside of this process looks for it where an application has it.
        os.environ[VARIABLES["allow_metadata_addresses"]] = "true"

    def heed(changed: "Settings") -> None:
        redactor.add(*changed.secrets())
        configure(level=changed.log_level, format=changed.log_format, redactor=redactor)

    daemon = Daemon(
        settings,
        offer=offer,
        conceal=redactor.add,
        read_settings=read_again,
        on_settings=heed,
        manager=ServiceManager.from_environment(os.environ, os.getpid()),
    )
    try:
        if settings.encryption_key is not None:
            # What is no key at all is told now, not when the database has been waited for.
            old = tuple(key.get_secret_value() for key in settings.old_encryption_keys)
            load_keyring(settings.encryption_key.get_secret_value(), old, None)
        await daemon.run()
    except (CertificateError, KeyringError, ListenError) as error:
        raise Refused(settings.place(str(error))) from error
    leave()


async def _demonstrate(settings: "Settings", folder: Path | None) -> int:
    from rich.console import Console

    from monitor.demo.run import run_demo

    return await run_demo(
        data_dir=folder, host=settings.host, port=settings.port, console=Console(highlight=False)
    )
