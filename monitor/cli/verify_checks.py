"""What can be said of a purpose from the records alone: row, key, call, health, fallback."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from monitor.cli.console import age, plain
from monitor.cli.one_target import find_row, name_of, read_target
from monitor.cli.refusal import Refused
from monitor.domain.catalog import Catalog
from monitor.domain.embedding import same_space
from monitor.domain.preference import Pointers
from monitor.domain.provider import ProviderRef, Purpose
from monitor.domain.rows import ConfigurationRows
from monitor.domain.target import KeyUndecryptable, SealedKey, Target
from monitor.storage.purposes import read_ref
from monitor.storage.status import Belief, Status
from monitor.storage.status_words import effective


class Check(NamedTuple):
    """One line of the answer; `good` is None for what is neither good nor bad."""

    good: bool | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What the checks read.

    Attributes:
        rows: the application's.
        status: what is recorded of them.
        vectors: of embedders, by provider and fingerprint.
        catalog: of providers.
        unseal: opens a stored key.
        allow_metadata_addresses: the setting of that name.
    """

    rows: ConfigurationRows
    status: Status
    vectors: dict[tuple[ProviderRef, str], tuple[float, ...]]
    catalog: Catalog
    unseal: Callable[[SealedKey], str]
    allow_metadata_addresses: bool = False

    def target(self, ref: ProviderRef, purpose: Purpose) -> Target:
        """The target of a provider in a purpose.

        Raises:
            Refused: there is no such row, or it can't be used.
        """
        return read_target(
            self.rows,
            ref,
            purpose,
            self.catalog,
            allow_metadata_addresses=self.allow_metadata_addresses,
        )


def read_pointers(records: Records) -> dict[Purpose, Pointers]:
    """Who serves each purpose and who is next, by the application's own rows."""
    found = {}
    for row in records.rows.actives:
        active = read_ref(row.provider_type, row.provider_id)
        if row.purpose in set(Purpose) and active is not None:
            fallback = read_ref(row.fallback_provider_type, row.fallback_provider_id)
            found[Purpose(row.purpose)] = Pointers(active=active, fallback=fallback)
    return found


def check_purpose(records: Records, purpose: Purpose, pointers: Pointers | None) -> list[Check]:
    """All that can be said of a purpose without asking its providers."""
    if pointers is None:
        return [Check(False, f"no active provider: write a row for {purpose} into active_providers")]
    checks = _check_provider(records, purpose, pointers.active, "active")
    if pointers.fallback is None:
        return [*checks, Check(False, "no fallback: if the active provider fails, nobody takes over")]
    checks += _check_provider(records, purpose, pointers.fallback, "fallback")
    if pointers.fallback == pointers.active:
        checks.append(Check(False, "fallback: it is the active provider itself, so nobody takes over"))
    elif purpose is Purpose.EMBEDDINGS:
        checks.append(_check_space(records, pointers.active, pointers.fallback))
    return checks


def _check_provider(records: Records, purpose: Purpose, ref: ProviderRef, role: str) -> list[Check]:
    try:
        row = find_row(records.rows, ref)
        who = f"{role}: {ref} ({plain(name_of(row))})"
        if not row.enabled:
            return [Check(False, f"{who} is disabled")]
        target = records.target(ref, purpose)
    except Refused as refused:
        return [Check(False, f"{role}: {plain(str(refused))}")]
    return [
        Check(True, f"{who} is enabled and its row can be read"),
        _check_key(target, records.unseal, role),
        Check(True, f"{role}: litellm is called with {describe_call(target)}"),
        _check_health(records, purpose, ref, role),
    ]


def _check_key(target: Target, unseal: Callable[[SealedKey], str], role: str) -> Check:
    if target.key is None:
        if target.entry.needs_key:
            return Check(
                False, f"{role}: {target.entry.name} answers nobody without a key: write one into the row"
            )
        return Check(True, f"{role}: no key is stored, none is sent")
    if not target.key.encrypted:
        return Check(True, f"{role}: its key is stored in plain text")
    try:
        unseal(target.key)
    except KeyUndecryptable as error:
        return Check(False, f"{role}: {error}")
    return Check(True, f"{role}: its key opens")


def describe_call(target: Target) -> str:
    """The arguments of the litellm call, the key masked."""
    purpose = target.id.purpose
    provider = target.entry.litellm_providers.get(purpose) if purpose is not None else None
    base = target.entry.call_base(purpose, target.base_url) if purpose is not None else None
    model = plain(target.model) if target.model else "(the only model that the server lists)"
    key = "****" if target.key is not None else "(none)"
    return (
        f"model={model} custom_llm_provider={provider} api_base={base or '(litellm knows it)'} api_key={key}"
    )


def _check_health(records: Records, purpose: Purpose, ref: ProviderRef, role: str) -> Check:
    belief = _belief(records, purpose, ref)
    if belief is None:
        return Check(None, f"{role}: its health is not known: it has not been probed yet")
    now = records.status.as_of
    word = effective(belief, now)
    notes = ", ".join((*belief.blocks, *belief.warnings))
    seen = f", last probed {age(now - belief.last_started_at)} ago" if belief.last_started_at else ""
    good = {"healthy": True, "degraded": True, "down": False}.get(word)
    return Check(good, f"{role}: its health is {word}{f' ({notes})' if notes else ''}{seen}")


def _check_space(records: Records, active: ProviderRef, fallback: ProviderRef) -> Check:
    try:
        one, two = (records.target(ref, Purpose.EMBEDDINGS) for ref in (active, fallback))
    except Refused:
        return Check(None, "fallback: its vector space is not compared")
    same = same_space(
        one.embedding_space,
        two.embedding_space,
        records.vectors.get((active, one.fingerprint)),
        records.vectors.get((fallback, two.fingerprint)),
    )
    if same is None:
        return Check(
            False,
            "fallback: nothing shows that its vectors fit: set metadata.embedding_space on both",
        )
    return Check(same, "fallback: its vectors " + ("share one space" if same else "stand in another space"))


def _belief(records: Records, purpose: Purpose, ref: ProviderRef) -> Belief | None:
    for provider in records.status.providers:
        if provider.ref == ref:
            return next((one for one in provider.beliefs if one.purpose is purpose), None)
    return None
