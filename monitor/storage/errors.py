"""What a database that is away, slow or unwilling raises."""

import asyncpg

# TimeoutError is an OSError; InterfaceError is what a connection that was closed under us raises, and
# InternalClientError what asyncpg makes of one that was closed in the middle of an answer.
STORE_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

# After these a connection is of no use any more, whether asyncpg knows it already or not.
ENDED_ERRORS = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.DatabaseDroppedError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ActiveSQLTransactionError,  # asyncpg and the server no longer agree on where they are
    asyncpg.NoActiveSQLTransactionError,
)

# What no waiting mends: a wrong password, a role or a database that does not exist.
HOPELESS_ERRORS = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidPasswordError,
    asyncpg.InvalidCatalogNameError,
)

# What no repetition mends either: a value that the database, or the driver on the way there, can't take.
REFUSED_ERRORS = (asyncpg.DataError, ValueError, TypeError, OverflowError)
