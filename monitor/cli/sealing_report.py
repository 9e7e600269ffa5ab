"""What the sealing of stored keys came to: for a person, and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.cli.console import plain
from monitor.jobs.seal_keys import name_rows
from monitor.storage.daemons import DaemonRow
from monitor.storage.sealing import StoredKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """What was done, or would be.

    Attributes:
        done: False when nothing was changed, because it was only asked for or keys do not open.
        dry_run: it was only asked for.
        sealed: what was sealed, or would be.
        current: how many the current key had sealed already.
        unreadable: what opens with none of the keys.
        plain: servers' keys that stand in plain text still.
        behind: living daemons that still seal with an earlier key.
        new_key: the key file gets a new key for it.
    """

    done: bool = True
    dry_run: bool = False
    sealed: Sequence[StoredKey] = ()
    current: int = 0
    unreadable: Sequence[StoredKey] = ()
    plain: Sequence[StoredKey] = ()
    behind: Sequence[DaemonRow] = ()
    new_key: bool = False


def show_rotation(found: Sealing) -> None:
    """Print what rotate-key did."""
    if found.dry_run:
        print(f"would seal {_count(found.sealed)} with {'a new key' if found.new_key else 'the current key'}")
        return
    if not found.done:
        print(f"opens with none of the keys: {plain(name_rows(found.unreadable))}")
        print("nothing was changed: store them anew, or say --skip-unreadable to leave them as they are")
        return
    if found.sealed:
        print(f"sealed {_count(found.sealed)} with the current key: {plain(name_rows(found.sealed))}")
    else:
        print(f"nothing to do: the current key has sealed all {found.current} stored keys")
    if found.unreadable:
        print(f"left as they are, for they do not open: {plain(name_rows(found.unreadable))}")
    if found.plain:
        print(f"in plain text: {plain(name_rows(found.plain))}; llm-monitor encrypt-server-keys seals them")
    for daemon in found.behind:
        print(
            f"the daemon on {plain(daemon.host)} (pid {daemon.pid}) still seals with an earlier key: "
            "make the current one its BYOK_ENCRYPTION_KEY before you take the earlier one away"
        )


def show_encryption(found: Sealing) -> None:
    """Print what encrypt-server-keys did."""
    if not found.sealed:
        print("nothing to do: no server's key stands in plain text")
        return
    print(f"{'would seal' if found.dry_run else 'sealed'} {_count(found.sealed)}: {_names(found.sealed)}")


def show_key_file(file: Path, *, pruned: bool) -> None:
    """Print what the key file holds afterwards."""
    if pruned:
        print(f"{file} holds the new key alone: older copies of the database need the earlier ones")
    else:
        print(f"{file} holds the new key and the earlier ones: keep a copy elsewhere")


def as_dict(found: Sealing, file: Path | None = None, *, pruned: bool = False) -> dict[str, Any]:
    """The same under names that stay."""
    return {
        "done": found.done,
        "dry_run": found.dry_run,
        "sealed": _rows(found.sealed),
        "current": found.current,
        "unreadable": _rows(found.unreadable),
        "plain": _rows(found.plain),
        "daemons_behind": [{"host": one.host, "pid": one.pid} for one in found.behind],
        "new_key": found.new_key,
        "key_file": str(file) if file is not None else None,
        "pruned": pruned,
    }


def _rows(keys: Sequence[StoredKey]) -> list[dict[str, str]]:
    return [{"provider": str(one.ref), "name": one.name} for one in keys]


def _names(keys: Sequence[StoredKey]) -> str:
    return plain(name_rows(keys))


def _count(keys: Sequence[StoredKey]) -> str:
    return f"{len(keys)} stored key{'' if len(keys) == 1 else 's'}"
