"""One row of the application as a target, whatever else is wrong and whether or not it is enabled."""

from collections.abc import Sequence
from dataclasses import replace

from monitor.cli.refusal import Refused
from monitor.domain.catalog import Catalog
from monitor.domain.configuration import read_configuration
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.rows import ActiveRow, ConfigurationRows, KeyRow, ServerRow
from monitor.domain.target import Target, TargetId


def find_row(rows: ConfigurationRows, ref: ProviderRef) -> ServerRow | KeyRow:
    """The row of a provider.

    Raises:
        Refused: there is none.
    """
    everything: Sequence[ServerRow | KeyRow] = (*rows.servers, *rows.keys)
    for row in everything:
        if row.ref == ref:
            return row
    known = ", ".join(str(row.ref) for row in everything[:10]) or "none yet"
    raise Refused(f"{ref}: there is no such row; known are: {known}")


def name_of(row: ServerRow | KeyRow) -> str:
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
    row = find_row(rows, ref)
    wanted = () if purpose is None else (purpose,)
    alone = ConfigurationRows(
        servers=(replace(row, enabled=True, purposes=frozenset(wanted)),)
        if isinstance(row, ServerRow)
        else (),
        keys=(replace(row, enabled=True),) if isinstance(row, KeyRow) else (),
        actives=tuple(
            ActiveRow(
                purpose=one,
                provider_type=ref.type,
                provider_id=ref.id,
                fallback_provider_type=None,
                fallback_provider_id=None,
            )
            for one in wanted
        ),
        preferences=(),
    )
    found = read_configuration(alone, catalog, allow_metadata_addresses=allow_metadata_addresses)
    target = found.targets.get(TargetId(provider=ref, purpose=purpose))
    if target is None:
        raise Refused(found.problems.get(str(ref), f"{ref} can't be read"))
    return target


def purpose_of(rows: ConfigurationRows, ref: ProviderRef, catalog: Catalog) -> Purpose | None:
    """The purpose to probe a provider for when nobody names one: what it serves, else what it could serve."""
    row = find_row(rows, ref)
    named = {
        Purpose(one.purpose)
        for one in rows.actives
        if one.purpose in set(Purpose)
        and str(ref)
        in (
            f"{one.provider_type}:{one.provider_id}",
            f"{one.fallback_provider_type}:{one.fallback_provider_id}",
        )
    }
    named |= {
        Purpose(one.purpose)
        for one in rows.preferences
        if one.purpose in set(Purpose) and f"{one.provider_type}:{one.provider_id}" == str(ref)
    }
    if isinstance(row, ServerRow):
        named |= row.purposes
    kind = row.server_type if isinstance(row, ServerRow) else row.provider
    entry = catalog.find(ref.type, kind or "")
    able = entry.litellm_providers if entry else {}
    return next((one for one in Purpose if one in named), None) or next(
        (one for one in Purpose if one in able), None
    )
