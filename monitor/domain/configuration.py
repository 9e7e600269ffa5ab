"""From the application's rows to what is probed and who serves; a bad row becomes a named problem."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

from monitor.domain.catalog import Catalog, CatalogEntry
from monitor.domain.metadata import Metadata, RowProblem, read_metadata
from monitor.domain.metadata_address import refuse_metadata_address
from monitor.domain.preference import Pointers, ordered
from monitor.domain.rows import ActiveRow, ConfigurationRows, KeyRow, ServerRow
from monitor.domain.target import (
    ModelName,
    Network,
    ProviderRef,
    ProviderType,
    Purpose,
    SealedKey,
    Target,
    TargetId,
)

LAN_SUFFIXES = (".local", ".lan", ".internal", ".home.arpa")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What the rows ask for.

    Attributes:
        targets: what is probed.
        pointers: by purpose, who serves and who is named as the fallback.
        preferences: by purpose, the operator's order; empty for a purpose not yet adopted.
        present: enabled providers, those with a problem included.
        names: the operator's name of every row.
        problems: by the row's reference, what is wrong with it and the mend.
        server_statuses: `health_status` as it stands in the rows of servers.
    """

    targets: Mapping[TargetId, Target]
    pointers: Mapping[Purpose, Pointers]
    preferences: Mapping[Purpose, tuple[ProviderRef, ...]]
    present: frozenset[ProviderRef]
    names: Mapping[ProviderRef, str]
    problems: Mapping[str, str]
    server_statuses: Mapping[int, str | None]


def read_configuration(
    rows: ConfigurationRows, catalog: Catalog, *, allow_metadata_addresses: bool = False
) -> Configuration:
    """Read everything; one bad row never hides another.

    Args:
        rows: as they were read.
        catalog: of providers.
        allow_metadata_addresses: an operator's word that link-local and metadata addresses may be spoken to.
    """
    problems: dict[str, str] = {}
    pointers = _pointers(rows.actives, problems)
    preferences = _preferences(rows, problems)
    wanted = _wanted(pointers, preferences)
    targets: dict[TargetId, Target] = {}
    everything: tuple[ServerRow | KeyRow, ...] = (*rows.servers, *rows.keys)
    for row in everything:
        if not row.enabled:
            continue
        purposes = wanted.get(row.ref, frozenset()) | (
            row.purposes if isinstance(row, ServerRow) else frozenset()
        )
        found, wrong = _targets(row, purposes, catalog, allow_metadata_addresses)
        targets |= {target.id: target for target in found}
        if wrong:
            problems[str(row.ref)] = f"{_label(row)}: {'; '.join(wrong)}"
    present = frozenset(row.ref for row in everything if row.enabled)
    for purpose, refs in preferences.items():
        for ref in refs:
            if ref not in present:
                problems[f"preference:{purpose}:{ref}"] = (
                    f"{purpose}: {ref} is wanted, but deleted or disabled"
                )
    return Configuration(
        targets=targets,
        pointers=pointers,
        preferences=preferences,
        present=present,
        names={row.ref: _name(row) for row in everything},
        problems=problems,
        server_statuses={row.id: row.health_status for row in rows.servers},
    )


def network_of(url: str | None) -> Network:
    """How far away an address is; hosted providers' own addresses are off host."""
    try:
        host = (urlsplit(url or "").hostname or "").rstrip(".")
    except ValueError:
        return Network.OFF_HOST
    if not host:
        return Network.OFF_HOST
    if host == "localhost" or host.endswith(".localhost"):
        return Network.LOOPBACK
    try:
        address = ip_address(host)
    except ValueError:
        return Network.LAN if "." not in host or host.endswith(LAN_SUFFIXES) else Network.OFF_HOST
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback or address.is_unspecified:
        return Network.LOOPBACK
    return Network.LAN if address.is_private else Network.OFF_HOST


def read_url(url: str | None, field: str) -> str:
    """A usable base address, without its trailing slash.

    Raises:
        RowProblem: not http or https, no host, or with credentials in it.
    """
    text = (url or "").strip()
    if not text:
        raise RowProblem(
            f"{field} is empty: write the address that the server answers at, as in http://host:8000"
        )
    try:
        parts = urlsplit(text)
        is_address = parts.port is None or parts.port > 0
    except ValueError:
        is_address = False
    # urlsplit drops line breaks silently, and would let a blank into the host.
    if not is_address or not text.isprintable() or any(one.isspace() for one in text):
        raise RowProblem(f"{field} is no address: write it as in http://host:8000")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RowProblem(
            f"{field} has to begin with http:// or https:// and name a host, as in http://host:8000"
        )
    if parts.username is not None:
        raise RowProblem(f"{field} carries credentials: put the key into the row's api_key instead")
    if parts.query or parts.fragment:
        raise RowProblem(f"{field} carries a query or a fragment: leave only scheme, host, port and path")
    return text.rstrip("/")


def _targets(
    row: ServerRow | KeyRow, purposes: frozenset[Purpose], catalog: Catalog, allow_metadata_addresses: bool
) -> tuple[list[Target], list[str]]:
    """What of the row can be probed, and what is wrong: a bad purpose leaves the row's other ones alone."""
    try:
        metadata = read_metadata(row.metadata)
        entry = _override(_entry(row, catalog), metadata)
        if isinstance(row, ServerRow):
            url: str | None = read_url(row.base_url, "base_url")
            key, field = row.api_key, "base_url"
        else:
            url = read_url(metadata.base_url, "metadata.base_url") if metadata.base_url else entry.api_base
            key, field = row.key, "metadata.base_url"
        if url is not None and not allow_metadata_addresses:
            refuse_metadata_address(url, field)
    except RowProblem as problem:
        return [], [str(problem)]
    wanted: list[Purpose | None] = [purpose for purpose in Purpose if purpose in purposes]
    targets, wrong = list[Target](), list[str]()
    for purpose in wanted or [None]:
        try:
            targets.append(_target(row, purpose, entry, url, key, metadata))
        except RowProblem as problem:
            wrong.append(str(problem))
    return targets, wrong


def _entry(row: ServerRow | KeyRow, catalog: Catalog) -> CatalogEntry:
    field, name = (
        ("server_type", row.server_type) if isinstance(row, ServerRow) else ("provider", row.provider)
    )
    entry = catalog.find(row.ref.type, name or "")
    if entry is None:
        known = sorted(
            one.name for one in catalog.entries.values() if one.type is row.ref.type and not one.generic
        )
        more = " or another that litellm knows" if row.ref.type is ProviderType.API_KEY else ""
        raise RowProblem(f"{field} is unknown: write one of {', '.join(known)}{more}")
    return entry


def _target(
    row: ServerRow | KeyRow,
    purpose: Purpose | None,
    entry: CatalogEntry,
    url: str | None,
    key: SealedKey | None,
    metadata: Metadata,
) -> Target:
    if purpose is not None and purpose not in entry.litellm_providers:
        serves = ", ".join(entry.litellm_providers)
        raise RowProblem(
            f"{entry.name} serves no {purpose} (it serves {serves}): take it out of that purpose"
        )
    model_path = row.model_path if isinstance(row, ServerRow) else None
    if model_path and not model_path.strip().isprintable():
        raise RowProblem("model_path has a line break or a control character in it: take it out")
    named = (
        (metadata.models.get(purpose) if purpose else None) or metadata.model or (model_path or "").strip()
    )
    # A server's own list is asked before the catalog: its probe does that.
    hosted = row.ref.type is ProviderType.API_KEY
    model = named or (entry.models.get(purpose) if purpose and hosted else None)
    if purpose is not None and not model and hosted:
        raise RowProblem(
            f"no {purpose} model is known for {entry.name}: name it in metadata.models.{purpose}"
        )
    probe = replace(metadata.probe, slow_start=entry.slow_start)
    return Target(
        id=TargetId(provider=row.ref, purpose=purpose),
        name=_name(row),
        provider=entry.name,
        entry=entry,
        base_url=url,
        model=ModelName(model) if model else None,
        model_named=bool(named or probe.model),
        key=key,
        network=network_of(url),
        probe=probe,
        embedding_space=metadata.embedding_space,
        fingerprint=_fingerprint(entry, purpose, url, key, model, probe.model),
    )


def _override(entry: CatalogEntry, metadata: Metadata) -> CatalogEntry:
    if metadata.litellm_provider is not None:
        entry = replace(
            entry, litellm_providers=dict.fromkeys(entry.litellm_providers, metadata.litellm_provider)
        )
    return replace(
        entry,
        key_check_path=metadata.key_check_path or entry.key_check_path,
        models_path=metadata.models_path or entry.models_path,
        busy_counters=metadata.busy_counters or entry.busy_counters,
    )


def _fingerprint(
    entry: CatalogEntry,
    purpose: Purpose | None,
    url: str | None,
    key: SealedKey | None,
    model: str | None,
    probe_model: str | None,
) -> str:
    litellm_provider = entry.litellm_providers.get(purpose, "") if purpose else ""
    # The identity, not the sealed text: a key that is sealed anew is the same key.
    identity = (key.identity or sha256(key.text.encode()).hexdigest()) if key else ""
    parts = (entry.name, litellm_provider, url or "", identity, model or "", probe_model or "")
    return sha256("\0".join(parts).encode()).hexdigest()[:16]


def _pointers(rows: tuple[ActiveRow, ...], problems: dict[str, str]) -> dict[Purpose, Pointers]:
    found: dict[Purpose, Pointers] = {}
    for row in rows:
        subject = f"active_providers:{row.purpose}"
        if row.purpose not in set(Purpose):
            problems[subject] = (
                f"active_providers: purpose {row.purpose!r} is unknown: write {', '.join(Purpose)}"
            )
            continue
        active = _ref(row.provider_type, row.provider_id)
        fallback = _ref(row.fallback_provider_type, row.fallback_provider_id)
        if active is None:
            problems[subject] = f"active_providers: {row.purpose} names no provider"
            continue
        if fallback is None and (row.fallback_provider_type, row.fallback_provider_id) != (None, None):
            problems[subject] = f"active_providers: the fallback of {row.purpose} names no provider"
        if fallback == active:
            problems[subject] = (
                f"active_providers: the fallback of {row.purpose} is {active}, which serves it already"
            )
        found[Purpose(row.purpose)] = Pointers(active=active, fallback=fallback)
    return found


def _preferences(rows: ConfigurationRows, problems: dict[str, str]) -> dict[Purpose, tuple[ProviderRef, ...]]:
    found: dict[Purpose, tuple[ProviderRef, ...]] = {}
    for row in sorted(rows.preferences, key=lambda one: one.position):
        ref = _ref(row.provider_type, row.provider_id)
        if row.purpose not in set(Purpose) or ref is None:
            subject = f"preference:{row.purpose}:{row.position}"
            problems[subject] = f"preference {row.position} of {row.purpose} names no purpose or no provider"
            continue
        purpose = Purpose(row.purpose)
        if ref in found.get(purpose, ()):
            problems[f"preference:{purpose}:{ref}"] = (
                f"{purpose}: {ref} is wanted twice, the first one counts"
            )
        found[purpose] = ordered((*found.get(purpose, ()), ref))
    return found


def _wanted(
    pointers: Mapping[Purpose, Pointers], preferences: Mapping[Purpose, tuple[ProviderRef, ...]]
) -> dict[ProviderRef, frozenset[Purpose]]:
    found: dict[ProviderRef, frozenset[Purpose]] = {}
    for purpose, pair in pointers.items():
        for ref in ordered((pair.active, pair.fallback, *preferences.get(purpose, ()))):
            found[ref] = found.get(ref, frozenset()) | {purpose}
    return found


def _ref(type_: str | None, id_: int | None) -> ProviderRef | None:
    if type_ is None or id_ is None or type_ not in set(ProviderType):
        return None
    return ProviderRef(type=ProviderType(type_), id=id_)


def _name(row: ServerRow | KeyRow) -> str:
    return row.name if isinstance(row, ServerRow) else f"{row.provider}/{row.key_name}"


def _label(row: ServerRow | KeyRow) -> str:
    return f"{row.ref} ({_name(row)})"
