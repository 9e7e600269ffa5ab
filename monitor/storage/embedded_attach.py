"""Finds the PostgreSQL that another process runs, apart from what runs it: a question is answered at once."""

import socket
from pathlib import Path

from monitor.storage.address import Address
from monitor.storage.embedded_folder import SOCKET_NAME, EmbeddedError, EmbeddedNotRunning, Folder
from monitor.storage.embedded_processes import read_pid_file
from monitor.storage.embedded_settings import NAME


def attach(data_dir: Path) -> Address:
    """The address of the PostgreSQL that another process runs in this folder.

    Raises:
        EmbeddedNotRunning: nobody runs it, or it does not answer yet.
        EmbeddedError: the folder cannot be read.
    """
    folder = Folder(data_dir.resolve())
    try:
        written = read_pid_file(folder.pid_file)
    except OSError as error:
        raise EmbeddedError(
            f"cannot read {folder.pid_file}: {error.strerror}; run as the daemon's account"
        ) from error
    if (
        written is None
        or not written.ready
        or written.socket_folder is None
        or not _answers(written.socket_folder)
    ):
        raise EmbeddedNotRunning(
            f"no PostgreSQL runs in {folder.path}: start `llm-monitor run`, "
            "or name the right folder in MONITOR_DATA_DIR or a database in DATABASE_URL"
        )
    return address_in(written.socket_folder)


def address_in(sockets: Path) -> Address:
    """The address of the PostgreSQL whose socket is in this folder."""
    return Address(host=str(sockets), port=5432, user=NAME, database=NAME)


def _answers(sockets: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(2.0)
        try:
            door.connect(str(sockets / SOCKET_NAME))
        except OSError:
            return False
        return True
