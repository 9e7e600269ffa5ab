"""Offers the providers that could be taken up here, and takes them up when asked to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import structlog
from pydantic import SecretStr

from monitor.domain.catalog import Catalog
from monitor.domain.provider import ProviderRef, ProviderType, Purpose
from monitor.domain.rows import ConfigurationRows
from monitor.domain.target import KeyUndecryptable, SealedKey
from monitor.jobs.find_servers import PORTS, FoundServer, find_servers
from monitor.keyring import Keyring
from monitor.storage.adoption import add_api_key, add_server, set_active_if_absent
from monitor.storage.providers import read_rows
from monitor.storage.queries import QUERIES

log = structlog.get_logger()

KEY_NAME = "default"
USER = "llm-monitor run --adopt-env"
HINT = "`llm-monitor run --adopt-env` takes them up"
_KEPT_CHARACTERS = 4
_LONG_ENOUGH = 16  # of a shorter key, four characters tell too much
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """A vendor's key in the environment.

    Attributes:
        provider: the catalog's name.
        key: in plain text.
    """

    provider: str
    key: str = field(repr=False)

    @property
    def variable(self) -> str:
        """Where it stands."""
        return f"{'GEMINI' if self.provider == 'google' else self.provider.upper()}_API_KEY"

    @property
    def masked(self) -> str:
        """As it may be shown."""
        return "****" + (self.key[-_KEPT_CHARACTERS:] if len(self.key) >= _LONG_ENOUGH else "")


Offer = FoundServer | FoundKey


async def find_offers(
    provider_keys: Mapping[str, SecretStr | str], *, ports: Iterable[int] = PORTS
) -> list[Offer]:
    """What could be taken up: servers on loopback first, then keys in the order they are given.

    Args:
        provider_keys: by the catalog's name of the provider; as settings hold them, or plain.
        ports: where on loopback to look for servers.
    """
    keys = ((provider, _plain(secret).strip()) for provider, secret in provider_keys.items())
    return [
        *await find_servers(ports),
        *(FoundKey(provider=provider, key=key) for provider, key in keys if key),
    ]


def describe(offers: Iterable[Offer]) -> list[str]:
    """A line for each, for a person; keys are masked."""
    return [_describe(offer) for offer in offers]


async def unknown_offers(connection: Any, keyring: Keyring | None, offers: Sequence[Offer]) -> list[Offer]:
    """The offers that no row of the application holds yet, whether enabled or not."""
    return _unknown(await read_rows(connection), keyring, offers)


async def adopt(
    connection: Any, keyring: Keyring | None, offers: Sequence[Offer], catalog: Catalog, *, by: str = USER
) -> list[str]:
    """Make rows of what was found, all or nothing; rows that are there already are never touched.

    A purpose that nobody serves yet gets the first of them that can, own servers first, the next as fallback.

    Args:
        connection: outside of a transaction.
        keyring: seals the keys; without one they are left where they are.
        offers: what `find_offers` found.
        catalog: says what each provider serves.
        by: who takes them up; stands in the rows and in the audit.

    Returns:
        What was done, a line each, for a person.
    """
    done: list[str] = []
    async with connection.transaction():
        await connection.execute(QUERIES["lock_adoption"])
        added: list[tuple[ProviderRef, frozenset[Purpose], str]] = []
        for offer in _unknown(await read_rows(connection), keyring, offers):
            if isinstance(offer, FoundKey) and keyring is None:
                done.append(
                    f"{_describe(offer)}: not taken up, for there is no key to seal it with; "
                    "set BYOK_ENCRYPTION_KEY (llm-monitor generate-key makes one)"
                )
                continue
            ref = await _add(connection, keyring, offer, by)
            if ref is None:
                done.append(f"{_describe(offer)}: not taken up, for another key has the name {KEY_NAME}")
                continue
            added.append((ref, _purposes(offer, catalog), _name(offer)))
            done.append(f"{_describe(offer)}: taken up as {ref}")
        for purpose in Purpose:
            done += await _serve(connection, purpose, [one for one in added if purpose in one[1]], by)
    return done


async def offer_environment(
    connection: Any,
    keyring: Keyring | None,
    *,
    provider_keys: Mapping[str, SecretStr | str],
    catalog: Catalog,
    take_up: bool,
    ports: Iterable[int] = PORTS,
) -> None:
    """At the start: log what could be taken up, or take it up.

    Args:
        connection: to the migrated database.
        keyring: or None without one.
        provider_keys: by provider.
        catalog: of providers.
        take_up: whether an operator asked for it.
        ports: where on loopback to look for servers.
    """
    offers = await unknown_offers(connection, keyring, await find_offers(provider_keys, ports=ports))
    if not take_up:
        for line in describe(offers):
            log.info("provider_found", found=line)
        if offers:
            log.info("providers_offered", count=len(offers), hint=HINT)
        return
    for line in await adopt(connection, keyring, offers, catalog):
        log.info("environment_adopted", did=line)
    if not offers:
        log.info("nothing_to_adopt", reason="no key and no server was found that is not here already")


async def _add(connection: Any, keyring: Keyring | None, offer: Offer, by: str) -> ProviderRef | None:
    if isinstance(offer, FoundServer):
        return await _add_server(connection, offer, by)
    if keyring is None:
        return None
    return await add_api_key(
        connection,
        provider=offer.provider,
        key_name=KEY_NAME,
        encrypted_key=keyring.seal(offer.key).text,
        created_by=by,
        metadata={},
    )


async def _add_server(connection: Any, offer: FoundServer, by: str) -> ProviderRef:
    by_purpose = offer.models_by_purpose()
    # A server with one model is asked for that one, whichever it will be tomorrow; of several, one is named.
    named = {str(purpose): model for purpose, model in by_purpose.items()} if len(offer.models) > 1 else {}
    number = 0
    while True:
        number += 1
        ref = await add_server(
            connection,
            name=offer.server_type if number == 1 else f"{offer.server_type}-{number}",
            server_type=offer.server_type,
            base_url=offer.base_url,
            purposes=frozenset(by_purpose),
            created_by=by,
            metadata={"models": named} if named else {},
        )
        if ref is not None:
            return ref


async def _serve(
    connection: Any, purpose: Purpose, able: Sequence[tuple[ProviderRef, frozenset[Purpose], str]], by: str
) -> list[str]:
    if not able:
        return []
    # Vectors of two models never mix: a second embedder is for the operator to name.
    second = able[1] if len(able) > 1 and purpose is not Purpose.EMBEDDINGS else None
    if not await set_active_if_absent(
        connection, purpose, able[0][0], fallback=second[0] if second else None, updated_by=by
    ):
        return []
    return [f"{purpose}: {able[0][2]} serves" + (f", {second[2]} is the fallback" if second else "")]


def _purposes(offer: Offer, catalog: Catalog) -> frozenset[Purpose]:
    """What it can serve without an operator's word."""
    if isinstance(offer, FoundServer):
        entry = catalog.find(ProviderType.AI_SERVER, offer.server_type)
        return frozenset(offer.models_by_purpose()) & frozenset(entry.litellm_providers if entry else ())
    entry = catalog.find(ProviderType.API_KEY, offer.provider)
    return frozenset(entry.models) & frozenset(entry.litellm_providers) if entry else frozenset()


def _unknown(rows: ConfigurationRows, keyring: Keyring | None, offers: Sequence[Offer]) -> list[Offer]:
    places = {_place(row.base_url or "") for row in rows.servers}
    keys = {(row.provider.strip().lower(), _open(keyring, row.key)) for row in rows.keys}
    named = {row.provider.strip().lower() for row in rows.keys if row.key_name == KEY_NAME}
    return [
        offer
        for offer in offers
        if (
            _place(offer.base_url) not in places
            if isinstance(offer, FoundServer)
            else (offer.provider, offer.key) not in keys and offer.provider not in named
        )
    ]


def _open(keyring: Keyring | None, sealed: SealedKey) -> str | None:
    try:
        return keyring.unseal(sealed) if keyring is not None else None
    except KeyUndecryptable:
        return None


def _place(url: str) -> tuple[str, int | None]:
    """Host and port of a server, however its row spells them; two servers never share them."""
    try:
        parts = urlsplit(url.strip())
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return url, None
    return "loopback" if host in _LOOPBACK else host, port


def _name(offer: Offer) -> str:
    return f"{offer.server_type} at {offer.base_url}" if isinstance(offer, FoundServer) else offer.provider


def _describe(offer: Offer) -> str:
    if isinstance(offer, FoundKey):
        return f"{offer.provider} (key {offer.masked} in {offer.variable})"
    more = f" and {len(offer.models) - 3} more" if len(offer.models) > 3 else ""
    return f"{offer.server_type} at {offer.base_url} ({', '.join(offer.models[:3])}{more})"


def _plain(secret: SecretStr | str) -> str:
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret
