"""Files and folders laid where others read them: each as a whole or not at all, whatever our umask is."""

import os
import tempfile
from pathlib import Path


def lay_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file as a whole or not at all, its folders before it.

    Raises:
        OSError: it can't be written; `filename` is its path, or that of a folder.
    """
    lay_folder(path.parent)
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, mode)
                stream.write(content)
                stream.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        error.filename = str(path)  # a full disk names none, and the draft's is of no use
        raise


def lay_folder(path: Path, mode: int = 0o755) -> None:
    """Make a folder that is missing, and those above it so that everybody may pass; one that is there stays.

    Raises:
        OSError: it can't be made.
    """
    if path.is_dir():
        return
    lay_folder(path.parent)
    path.mkdir(mode=mode, exist_ok=True)
    path.chmod(mode)
