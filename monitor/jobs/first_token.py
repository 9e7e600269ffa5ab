"""The token that a new installation begins with, in a file that only its owner reads (as Jupyter does).

It is made once: where there has never been a token. Whoever deletes the file or revokes the token is not
overruled at the next start; `llm-monitor token create` on the same machine makes another one at any time.
"""

from pathlib import Path
from typing import Any

import structlog

from monitor.domain.access import TokenRole
from monitor.keyring.files import put
from monitor.storage.tokens import create_token, first_token

log = structlog.get_logger()

FILE = "admin-token"
NAME = "first admin"
BY = "monitor"


async def keep_first_token(connection: Any, folder: Path) -> Path | None:
    """Make the first token, unless there has ever been one, and say where it is.

    The file is written before the token counts: a start that is broken off leaves either both, or a file that
    opens nothing and is written anew.

    Args:
        connection: to the migrated database, outside of a transaction.
        folder: the data folder.

    Returns:
        The file, when it was made now; None when there has been a token, or the folder does not take it.
    """
    path = folder / FILE
    try:
        async with connection.transaction():
            if not await first_token(connection):
                return None
            made = await create_token(connection, name=NAME, role=TokenRole.ADMIN, lifetime=None, by=BY)
            put(path, f"{made.text}\n")  # one that lies there opens nothing
    except OSError as error:
        if isinstance(error, ConnectionError | TimeoutError):
            raise
        log.warning("first_token_not_kept", file=str(path), reason=error.strerror)
        return None
    log.info("first_token_written", file=str(path), role=str(TokenRole.ADMIN))
    return path
