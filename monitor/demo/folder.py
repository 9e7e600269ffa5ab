"""The demo's own data folder: never a real daemon's, and one demo at a time."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from monitor.settings.loading import default_data_dir
from monitor.storage.embedded_folder import Folder

LOCK = "demo.lock"


class DemoRefused(Exception):
    """The demo can't run here; the message says why and what to do."""


def default_folder(env: Mapping[str, str]) -> Path:
    """Beside the data folder of a real daemon, which it never touches."""
    return default_data_dir(env, "llm-monitor-demo")


@contextmanager
def claimed(path: Path, url: str) -> Iterator[Path]:
    """Have the folder to ourselves.

    Args:
        path: made when it does not exist.
        url: where this demo answers, for whoever comes second.

    Raises:
        DemoRefused: another demo runs in it, it holds something else, or it can't be used.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = path.resolve()
        if Folder(path).cluster.exists() and not (path / LOCK).exists():
            raise DemoRefused(f"{path} holds the data of a real daemon: name another folder with --data-dir")
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DemoRefused(f"{path} can't be used: {reason}; name another folder with --data-dir") from error
    try:
        _lock(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}, {url}".encode(), 0)
        yield path
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = os.pread(descriptor, 200, 0).decode(errors="replace")
        raise DemoRefused(
            f"a demo runs already in {path} ({who}): watch that one, or end it with Ctrl-C in its terminal"
        ) from None
