"""One row of the application as a target, whatever else is wrong and whether or not it is enabled."""

from collections.abc import Sequence
from dataclasses import replace

from monitor.domain.catalog import Catalog
from monitor.domain.configuration import read_configuration
from monitor.domain.metadata import RowProblem
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.rows import ActiveRow, ConfigurationRows, KeyRow, ServerRow
from monitor.domain.target import Target, TargetId

Row = ServerRow | KeyRow


def find_row(rows: ConfigurationRows, ref: ProviderRef) -> Row | None:
    """The row of a provider, or None when there is none."""
    everything: Sequence[Row] = (*rows.servers, *rows.keys)
    return next((row for row in everything if row.ref == ref), None)


def read_target(
    row: Row, purpose: Purpose | None, catalog: Catalog, *, allow_metadata_addresses: bool = False
) -> Target:
    """The target of a row in a purpose, as if it were enabled and wanted for that purpose alone.

    Raises:
        RowProblem: it can't be used; the message names the row and what to mend.
    """
    wanted = () if purpose is None else (purpose,)
    alone = ConfigurationRows(
        servers=(replace(row, enabled=True, purposes=frozenset(wanted)),)
        if isinstance(row, ServerRow)
        else (),
        keys=(replace(row, enabled=True),) if isinstance(row, KeyRow) else (),
        actives=tuple(
            ActiveRow(
                purpose=one,
                provider_type=row.ref.type,
                provider_id=row.ref.id,
                fallback_provider_type=None,
                fallback_provider_id=None,
            )
            for one in wanted
        ),
        preferences=(),
    )
    found = read_configuration(alone, catalog, allow_metadata_addresses=allow_metadata_addresses)
    target = found.targets.get(TargetId(provider=row.ref, purpose=purpose))
    if target is None:
        raise RowProblem(found.problems.get(str(row.ref), f"{row.ref} can't be read"))
    return target


def purpose_of(rows: ConfigurationRows, row: Row, catalog: Catalog) -> Purpose | None:
    """The purpose to probe a provider for when nobody names one: what it serves, else what it could serve."""
    named = purposes_of(rows, row)
    kind = row.server_type if isinstance(row, ServerRow) else row.provider
    entry = catalog.find(row.ref.type, kind or "")
    able = entry.litellm_providers if entry else {}
    return next((one for one in Purpose if one in named), None) or next(
        (one for one in Purpose if one in able), None
    )


def purposes_of(rows: ConfigurationRows, row: Row) -> frozenset[Purpose]:
    """What a provider is used for: by its own row, or because somebody named it."""
    ref = str(row.ref)
    named = {
        Purpose(one.purpose)
        for one in rows.actives
        if one.purpose in set(Purpose)
        and ref
        in (
            f"{one.provider_type}:{one.provider_id}",
            f"{one.fallback_provider_type}:{one.fallback_provider_id}",
        )
    }
    named |= {
        Purpose(one.purpose)
        for one in rows.preferences
        if one.purpose in set(Purpose) and f"{one.provider_type}:{one.provider_id}" == ref
    }
    return frozenset(named | (row.purposes if isinstance(row, ServerRow) else frozenset()))
