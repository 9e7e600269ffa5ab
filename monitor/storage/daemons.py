"""Which daemons are on this database, and which of them decides."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from monitor.storage.queries import QUERIES

Role = Literal["active", "standby"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonRow:
    """One daemon.

    Attributes:
        instance: of this run.
        host: where it runs.
        pid: its process there.
        version: of the program.
        role: `active` or `standby`.
        listen: where it answers, as in `127.0.0.1:9780`.
        started_at: UTC.
        key_ids: which encryption keys it opens with, the one it seals with first (`Keyring.ids`).
        silent: since its last heartbeat, by the database's clock; 0 where it is not read from there.
    """

    instance: UUID
    host: str
    pid: int
    version: str
    role: Role
    listen: str
    started_at: datetime
    key_ids: tuple[str, ...] = ()
    silent: timedelta = timedelta(0)


async def beat(connection: Any, daemon: DaemonRow) -> None:
    """Say that a daemon is alive, and what it does now."""
    await connection.execute(
        QUERIES["beat"],
        daemon.instance,
        daemon.host,
        daemon.pid,
        daemon.version,
        daemon.role,
        daemon.listen,
        daemon.started_at,
        list(daemon.key_ids),
    )


async def list_daemons(connection: Any) -> list[DaemonRow]:
    """Every daemon that did not take its leave, the active one first."""
    return [
        DaemonRow(
            instance=row["instance"],
            host=row["host"],
            pid=row["pid"],
            version=row["version"],
            role=row["role"],
            listen=row["listen"],
            started_at=row["started_at"],
            key_ids=tuple(row["key_ids"]),
            silent=timedelta(seconds=row["silent_seconds"]),
        )
        for row in await connection.fetch(QUERIES["list_daemons"])
    ]


async def forget_daemon(connection: Any, instance: UUID) -> None:
    """A daemon takes its leave."""
    await connection.execute(QUERIES["forget_daemon"], instance)


async def forget_silent_daemons(connection: Any, silent: timedelta) -> None:
    """Forget those that were killed: no heartbeat for so long."""
    await connection.execute(QUERIES["forget_silent_daemons"], silent)
