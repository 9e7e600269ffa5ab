"""Makes every secret of compose.yaml where there is none yet: no two installations share one.

Each goes into the volume of those who read it, under MAKE_SECRETS_IN: the database's password for PostgreSQL
and the daemon, the key of stored keys for the daemon alone, the administrator's password for Grafana alone.
"""

import os
import secrets
import sys
from base64 import urlsafe_b64encode
from pathlib import Path


def make(path: Path, secret: str) -> None:
    """Write a secret whole or not at all; one that is there stays.

    Its readers have accounts of their own, each in its container: what keeps others away is the volume.
    """
    if path.exists():
        return
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("w") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())  # else a power cut may leave the name, and nothing in it
    unfinished.chmod(0o444)
    unfinished.rename(path)
    sys.stderr.write(f"made {path}\n")


def main() -> None:
    """Make what is missing."""
    root = Path(os.environ.get("MAKE_SECRETS_IN", "/run/secrets"))
    make(root / "database" / "password", secrets.token_urlsafe(32))
    make(root / "monitor" / "encryption-key", urlsafe_b64encode(secrets.token_bytes(32)).decode())
    make(root / "grafana" / "admin-password", secrets.token_urlsafe(24))


if __name__ == "__main__":
    main()
