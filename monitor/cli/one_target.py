"""One row that a person names, or a refusal that says what to name instead."""

from monitor.cli.refusal import Refused
from monitor.domain import one_target
from monitor.domain.catalog import Catalog
from monitor.domain.metadata import RowProblem
from monitor.domain.one_target import Row
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.rows import ConfigurationRows, ServerRow
from monitor.domain.target import Target


def find_row(rows: ConfigurationRows, ref: ProviderRef) -> Row:
    """The row of a provider.

    Raises:
        Refused: there is none.
    """
    row = one_target.find_row(rows, ref)
    if row is None:
        refs = [*(one.ref for one in rows.servers), *(one.ref for one in rows.keys)]
        known = ", ".join(map(str, refs[:10])) or "none yet"
        raise Refused(f"{ref}: there is no such row; known are: {known}")
    return row


def name_of(row: Row) -> str:
    """What its operator calls it."""
    return row.name if isinstance(row, ServerRow) else f"{row.provider}/{row.key_name}"


def read_target(
    rows: ConfigurationRows,
    ref: ProviderRef,
    purpose: Purpose | None,
    catalog: Catalog,
    *,
    allow_metadata_addresses: bool = False,
) -> Target:
    """The target of a provider in a purpose, as if it were enabled and wanted for that purpose alone.

    Raises:
        Refused: there is no such row, or it can't be used; the message says what to mend.
    """
    try:
        return one_target.read_target(
            find_row(rows, ref), purpose, catalog, allow_metadata_addresses=allow_metadata_addresses
        )
    except RowProblem as problem:
        raise Refused(str(problem)) from None


def purpose_of(rows: ConfigurationRows, ref: ProviderRef, catalog: Catalog) -> Purpose | None:
    """The purpose to probe a provider for when nobody names one: what it serves, else what it could serve.

    Raises:
        Refused: there is no such row.
    """
    return one_target.purpose_of(rows, find_row(rows, ref), catalog)
