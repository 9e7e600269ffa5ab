"""Why a person's change of the application's rows is not made; each is the caller's to mend."""

from monitor.domain.provider import ProviderRef, ProviderType

NAMES = {ProviderType.AI_SERVER: "server", ProviderType.API_KEY: "API key"}


class Refused(ValueError):
    """Nothing was changed; the message names what is wrong and the mend, never a value."""


class RowMissing(Refused):
    """The provider does not exist.

    Attributes:
        ref: whom the caller named.
    """

    def __init__(self, ref: ProviderRef) -> None:
        super().__init__(f"{NAMES[ref.type][0].upper()}{NAMES[ref.type][1:]} {ref.id} not found")
        self.ref = ref


class NameTaken(Refused):
    """Another row has that name already."""

    def __init__(self, type_: ProviderType) -> None:
        what = (
            "A server of that name"
            if type_ is ProviderType.AI_SERVER
            else "An API key of that provider and key_name"
        )
        super().__init__(f"{what} already exists")


class InUse(Refused):
    """A purpose names the provider.

    Attributes:
        purposes: all that do.
    """

    def __init__(self, type_: ProviderType, purposes: list[str]) -> None:
        super().__init__(f"Cannot delete {NAMES[type_]} in use for: {', '.join(purposes)}")
        self.purposes = purposes


class TextTooLong(Refused):
    """A text does not fit into the application's column.

    Attributes:
        column: which.
    """

    def __init__(self, table: str, column: str, most: int) -> None:
        super().__init__(
            f"{column} is longer than the {most} characters that {table}.{column} holds: shorten it, or "
            f"widen the column (ALTER TABLE {table} ALTER COLUMN {column} TYPE TEXT)"
        )
        self.column = column


class RowRefused(Refused):
    """A rule of the application's own table forbids the change."""

    def __init__(self, table: str, rule: str) -> None:
        super().__init__(
            f"the database refuses the change of {table} by the application's rule {rule}: change the "
            "values, or what refers to the row"
        )
