"""What an application meets when its providers cannot be read."""


class DatabaseAway(ConnectionError):
    """The database does not answer, and what was read of it is too old to be relied on."""


class IntegrationClosed(RuntimeError):
    """The pool or the event loop that the integration was built for has ended."""


class NotPrepared(RuntimeError):
    """The tables are missing, or may not be read."""
