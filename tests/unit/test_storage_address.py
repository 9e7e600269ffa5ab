"""Database addresses: read as applications write them, shown without what is secret."""

import pytest

from monitor.storage.address import Address, AddressError


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "postgresql+asyncpg", "POSTGRESQL", "postgres+psycopg2"]
)
def test_every_spelling_of_a_url_is_read(scheme: str) -> None:
    address = Address.from_url(f" {scheme}://me:s3cret@db:6543/center \n")
    assert address.arguments() == {"dsn": "postgresql://me:s3cret@db:6543/center"}
    assert address.describe() == "postgresql://me@db:6543/center"


def test_words_of_sqlalchemy_and_libpq_do_not_reach_the_server() -> None:
    address = Address.from_url(
        "postgresql+asyncpg://db/x?ssl=require&prepared_statement_cache_size=0&connect_timeout=3"
    )
    assert address.arguments() == {"dsn": "postgresql://db/x?sslmode=require"}


@pytest.mark.parametrize("url", ["", "mysql://db/x", "db/x", "postgresql:/db"])
def test_anything_else_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(AddressError) as caught:
        Address.from_url(url + "?password=s3cret")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        Address.from_url("postgresql://me:s3cret@db/x"),
        Address.from_url("postgresql://db/x?user=me&password=s3cret&sslpassword=s3cret"),
        Address.from_url("postgresql://me:s3cret@db/x").with_database("y"),
        Address(host="db", user="me", password="s3cret", database="x"),
    ],
)
def test_no_password_is_ever_shown(address: Address) -> None:
    for text in (repr(address), str(address), address.describe(), f"{address}"):
        assert "s3cret" not in text
    assert "s3cret" in str(address.arguments())


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (
            Address(host="/var/lib/x/socket", port=5432, user="monitor", database="monitor"),
            "postgresql://monitor@/monitor?host=/var/lib/x/socket",
        ),
        (Address(host="/s", port=5433, database="m"), "postgresql:///m?host=/s&port=5433"),
        (Address(host="::1", port=5432, user="a b", database="m"), "postgresql://a%20b@[::1]:5432/m"),
        (Address(host="db"), "postgresql://db/"),
        (
            Address.from_url("postgresql://u%40x:p@a,b/m?sslmode=require"),
            "postgresql://u%40x@a,b/m?sslmode=require",
        ),
    ],
)
def test_a_person_can_paste_what_is_shown_into_psql(address: Address, text: str) -> None:
    assert address.describe() == text


def test_another_database_of_the_same_server_keeps_the_rest() -> None:
    address = Address.from_url("postgresql://me:s3cret@db/x").with_database("y")
    assert address.arguments() == {"dsn": "postgresql://me:s3cret@db/x", "database": "y"}
    assert address.describe() == "postgresql://me@db/y"
