"""Where the database is, and connections to it that behave alike everywhere."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import asyncpg

CONNECT_TIMEOUT_SECONDS = 10.0
SERVER_SETTINGS = {"timezone": "UTC", "application_name": "llm-monitor", "jit": "off"}

# Words that SQLAlchemy or libpq understand in a URL, and that a server would refuse as a setting.
_NOT_FOR_THE_SERVER = frozenset(
    {"connect_timeout", "async_fallback", "prepared_statement_cache_size", "prepared_statement_name_func"}
)
_SCHEME = re.compile(r"^(postgres|postgresql)(\+[a-z0-9_]+)?://", re.IGNORECASE)
_SECRET_PARAMETERS = frozenset({"password", "sslpassword"})
_GIVEN_UP = "unexpected connection_lost() call"


class AddressError(ValueError):
    """A database URL that cannot be read; the text never repeats the URL, which may hold a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One database.

    Attributes:
        dsn: a PostgreSQL URL, or None when the parts below say it all.
        host: a name, an address or the folder of a unix socket.
        port: TCP port, or the number in the socket's name.
        user: the role, None for the account's own.
        password: None without one.
        database: its name, None for the role's own.
    """

    dsn: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Read `postgresql://`, `postgres://` and SQLAlchemy's `postgresql+asyncpg://`.

        Raises:
            AddressError: it is none of these.
        """
        text = url.strip()
        if not _SCHEME.match(text):
            raise AddressError(
                "a database URL begins with postgresql://, as in postgresql://user@host:5432/name"
            )
        text = _SCHEME.sub("postgresql://", text)
        try:
            parts = urlsplit(text)
            words = parse_qsl(parts.query, keep_blank_values=True)
        except ValueError as error:
            raise AddressError(
                "the database URL cannot be read: percent-encode special characters"
            ) from error
        query = [
            ("sslmode" if name == "ssl" else name, value)
            for name, value in words
            if name not in _NOT_FOR_THE_SERVER
        ]
        return cls(dsn=parts._replace(query=urlencode(query, quote_via=quote), fragment="").geturl())

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `asyncpg.connect` that name this database."""
        named = {
            "dsn": self.dsn,
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
        }
        return {name: value for name, value in named.items() if value is not None}

    def with_database(self, name: str) -> "Address":
        """The same server and role, another database."""
        return Address(
            dsn=self.dsn,
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=name,
        )

    def describe(self) -> str:
        """A URL for a person or for psql, without the password."""
        host, port, user, database, query = self.host or "", self.port, self.user, self.database, {}
        if self.dsn is not None:
            parts = urlsplit(self.dsn)
            login, _, place = parts.netloc.rpartition("@")
            user = user or unquote(login.partition(":")[0]) or None
            database = database or unquote(parts.path.lstrip("/")) or None
            query = {name: value for name, value in parse_qsl(parts.query) if name not in _SECRET_PARAMETERS}
            netloc = place
        elif host.startswith("/"):
            netloc = ""
            query = {"host": host} | ({"port": str(port)} if port not in (None, 5432) else {})
        else:
            netloc = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
        who = f"{quote(user, safe='')}@" if user else ""
        words = f"?{urlencode(query, quote_via=quote, safe='/')}" if query else ""
        return f"postgresql://{who}{netloc}/{quote(database or '', safe='')}{words}"

    def __str__(self) -> str:
        return self.describe()


async def connect(
    address: Address,
    *,
    timeout: float = CONNECT_TIMEOUT_SECONDS,
    settings: Mapping[str, str] | None = None,
    **kw: Any,
) -> "asyncpg.Connection[asyncpg.Record]":
    """Open one connection: UTC, named after us, JSON columns as Python values.

    Args:
        address: the database.
        timeout: seconds until the connection stands.
        settings: further server settings of this session, such as `statement_timeout`.
        **kw: passed on to `asyncpg.connect`.

    Raises:
        OSError: nobody answers.
        TimeoutError: the connection does not stand in time.
        asyncpg.PostgresError: the server refuses.
    """
    connection = await asyncpg.connect(
        **address.arguments(), timeout=timeout, server_settings=SERVER_SETTINGS | dict(settings or {}), **kw
    )
    try:
        await set_codecs(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def create_pool(address: Address, *, min_size: int = 1, max_size: int = 8, **kw: Any) -> asyncpg.Pool:
    """A pool of connections such as `connect` opens.

    Args:
        address: the database.
        min_size: connections kept open.
        max_size: connections at most.
        **kw: passed on to `asyncpg.create_pool`.

    Raises:
        OSError: nobody answers.
        TimeoutError: the first connection does not stand in time.
        asyncpg.PostgresError: the server refuses.
    """
    return await asyncpg.create_pool(
        **address.arguments(),
        min_size=min_size,
        max_size=max_size,
        timeout=CONNECT_TIMEOUT_SECONDS,
        server_settings=SERVER_SETTINGS,
        init=set_codecs,
        **kw,
    )


async def execute_each(connection: Any, query: str, rows: Sequence[Sequence[object]]) -> None:
    """One statement for each row; none for none.

    asyncpg's executemany without rows prepares the statement and leaves the server inside a transaction of
    which nobody knows: whoever begins the next one may be refused, and everybody after it.
    """
    if rows:
        await connection.executemany(query, rows)


async def set_codecs(connection: Any) -> None:
    """Let json and jsonb columns of this connection arrive and leave as Python values."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


def _tells_of_no_abandoned_connection(record: logging.LogRecord) -> bool:
    """Whether asyncio tells of anything but a connection that was given up while its socket was opening.

    asyncpg's exchange before TLS then ends with an exception that nobody can retrieve: whoever gave up
    (Ctrl-C, a timeout, a stop) knows of it, and the report would be one of a fault where there is none.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not (type(error) is ConnectionError and str(error) == _GIVEN_UP)


logging.getLogger("asyncio").addFilter(_tells_of_no_abandoned_connection)
