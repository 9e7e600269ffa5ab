"""Light probes: one free authenticated GET, which warns and never judges."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from monitor.domain.catalog import CatalogEntry
from monitor.domain.classification import Evidence
from monitor.domain.outcome import Readings
from monitor.domain.target import ProbeKind, ProviderType
from monitor.probing.answer import body_error, rate_limits, retry_after
from monitor.probing.fetch import Fetched, Fetcher, key_headers
from monitor.probing.model_list import is_paged, lists, models_of
from monitor.probing.observation import Observation, Request

RELIST_SECONDS = {ProviderType.AI_SERVER: 300.0, ProviderType.API_KEY: 3600.0}  # OpenRouter's list is 500 kB
LISTS_KEPT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    models: tuple[str, ...]
    paged: bool
    at: float


class LightProber:
    """Asks for a key's own page, a server's health or its list of models, as the catalog says."""

    def __init__(self, fetcher: Fetcher, now: Callable[[], datetime]) -> None:
        self._fetcher = fetcher
        self._now = now
        self._listings: dict[str, _Listing] = {}

    async def observe(self, request: Request) -> Observation:
        """One light probe."""
        entry, target = request.entry, request.target
        root = entry.root(target.base_url)
        path = entry.key_check_path or entry.health_path or entry.models_path
        if root is None or path is None:
            evidence = Evidence(kind=ProbeKind.LIGHT, nothing_to_check=True)
            return Observation(evidence=evidence, text=f"no free check of {entry.name} is known")
        began = time.monotonic()
        fetched = await self._get(request, root + path, request.limits.whole)
        if fetched.status == 404 and path == entry.health_path and entry.models_path is not None:
            path = entry.models_path  # something else that speaks the same API answers there
            fetched = await self._get(request, root + path, self._left(request, began))
        if path == entry.models_path:
            self._keep(request, fetched)
        elif entry.models_path is not None and fetched.ok and self._is_due(request):
            listed = await self._get(request, root + entry.models_path, self._left(request, began))
            if not self._keep(request, listed) and target.id.provider.type is ProviderType.AI_SERVER:
                fetched = listed  # the health page needs no key; the list does
        return self._observation(request, fetched, time.monotonic() - began, path)

    async def models(self, request: Request) -> tuple[tuple[str, ...] | None, Fetched | None]:
        """The models a server lists, from what is known for this fingerprint or asked now.

        Returns:
            The names, or None and the answer that held none.
        """
        listing = self._listings.get(request.target.fingerprint)
        if listing is not None:
            return listing.models, None
        root = request.entry.root(request.target.base_url)
        if root is None or request.entry.models_path is None:
            return None, None
        fetched = await self._get(request, root + request.entry.models_path, request.limits.first_token)
        if self._keep(request, fetched):
            return self._listings[request.target.fingerprint].models, None
        return None, fetched

    def forget_models(self, fingerprint: str) -> None:
        """Ask again next time: the list has proved wrong."""
        self._listings.pop(fingerprint, None)

    async def is_loading(self, request: Request, model: str, seconds: float) -> bool:
        """Whether the server says that this model is not in memory yet."""
        root = request.entry.root(request.target.base_url)
        if root is None or request.entry.loaded_path is None:
            return False
        fetched = await self._get(request, root + request.entry.loaded_path, seconds)
        loaded = models_of(fetched.document()) if fetched.ok else None
        return loaded is not None and not lists(loaded, model, request.entry)

    def evidence(self, kind: ProbeKind, request: Request, fetched: Fetched, *, usable: bool) -> Evidence:
        """What a GET proves."""
        refused = fetched.status is not None and fetched.status >= 400
        error = body_error(fetched.body, refused)
        return Evidence(
            kind=kind,
            fault=fetched.fault,
            http_status=fetched.status,
            json_error=error.is_json,
            error_codes=error.codes,
            error_text=error.plain,
            usable=usable,
            model_named=request.target.model_named,
            descriptors_exhausted=fetched.descriptors_exhausted,
        )

    def _observation(self, request: Request, fetched: Fetched, seconds: float, path: str) -> Observation:
        entry, target = request.entry, request.target
        document = fetched.document() if fetched.ok and path != entry.health_path else None
        usable = fetched.ok and (path == entry.health_path or isinstance(document, (dict, list)))
        if path == entry.models_path:
            usable = usable and models_of(document) is not None
        evidence = self.evidence(ProbeKind.LIGHT, request, fetched, usable=usable)
        listing = self._listings.get(target.fingerprint)
        wanted = target.probe.model or target.model
        listed: bool | None = None
        if listing is not None and wanted is not None:
            listed = lists(listing.models, wanted, entry) or (None if listing.paged else False)
        refused = evidence.http_status is not None and evidence.http_status >= 400
        return Observation(
            evidence=evidence,
            latency_seconds=seconds if fetched.status is not None and fetched.fault is None else None,
            model=wanted,
            retry_after=retry_after(fetched.headers, fetched.body, self._now()) if refused else None,
            readings=Readings(
                ratelimit_remaining=rate_limits(fetched.headers),
                credit_remaining_usd=_credit(entry, document),
                tls_expires_at=fetched.tls_expires_at,
                models=listing.models
                if listing is not None and target.id.provider.type is ProviderType.AI_SERVER
                else None,
                model_listed=listed,
            ),
            text=body_error(fetched.body, refused=True).text if refused else "",
        )

    async def _get(self, request: Request, url: str, seconds: float) -> Fetched:
        return await self._fetcher.get(
            url, key_headers(request.entry, request.key), connect=request.limits.connect, whole=seconds
        )

    def _left(self, request: Request, began: float) -> float:
        return max(request.limits.whole - (time.monotonic() - began), 0.05)

    def _is_due(self, request: Request) -> bool:
        listing = self._listings.get(request.target.fingerprint)
        every = RELIST_SECONDS[request.target.id.provider.type]
        return listing is None or time.monotonic() - listing.at >= every

    def _keep(self, request: Request, fetched: Fetched) -> bool:
        document = fetched.document() if fetched.ok else None
        models = models_of(document)
        if models is None:
            return False
        if len(self._listings) >= LISTS_KEPT:
            self._listings.pop(next(iter(self._listings)))
        listing = _Listing(models=models, paged=is_paged(document), at=time.monotonic())
        self._listings[request.target.fingerprint] = listing
        return True


def _credit(entry: CatalogEntry, document: object) -> float | None:
    """Credit left as OpenRouter's key page or DeepSeek's balance tells it, USD."""
    if not isinstance(document, dict) or entry.key_check_path == entry.models_path:
        return None
    data = document.get("data")
    if isinstance(data, dict):
        left = data.get("limit_remaining")
        return float(left) if isinstance(left, (int, float)) else None
    for balance in document.get("balance_infos") or ():
        if isinstance(balance, dict) and balance.get("currency") == "USD":
            try:
                return float(balance["total_balance"])
            except (KeyError, TypeError, ValueError):
                return None
    return None
