"""From the settings of a database to its address."""

from monitor.settings.model import DatabaseSettings
from monitor.settings.names import SettingsError
from monitor.storage.address import Address, AddressError


def address_of(database: DatabaseSettings) -> Address:
    """Where the database is.

    Raises:
        SettingsError: DATABASE_URL can't be read.
    """
    password = database.password.get_secret_value() if database.password else None
    if database.url is None:
        return Address(
            host=database.host,
            port=database.port,
            user=database.user,
            password=password,
            database=database.database,
        )
    try:
        address = Address.from_url(database.url.get_secret_value())
    except AddressError as error:
        raise SettingsError(f"DATABASE_URL: {error}") from error
    return Address(dsn=address.dsn, password=password)
