"""The price book: which price counts for a call.

1. The deployment's own price (config: `input_cost_per_token` and the like).
2. What the provider itself said the call cost (OpenRouter, xAI).
3. The catalogue: by the deployment's `base_model` if it has one, else by the model that served, else by the one asked for.
4. Nobody knows: the call is unpriced.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from threading import Lock, Thread
from typing import NamedTuple, TypeAlias

from tollbook.call import UNPRICED, Cost, Line
from tollbook.config import Deployment
from tollbook.errors import ConfigError
from tollbook.responses.usage import Usage

from .catalogue import Catalogue, Listing, catalogue_version
from .override import Override
from .rates import Rate, Rates, Schedule, compile_rates, tier_version

_STANDARD_TIERS = frozenset({"", "default", "auto", "standard", "on_demand"})
"""Names that providers have for no special tier (OpenAI, Bedrock: default; Anthropic: standard; Gemini: ON_DEMAND)."""

_ENTRIES = 4096
"""Prices kept compiled. Served models and tiers are named by upstreams, so there must be a bound."""

_SIMULATED = "simulated"
_SIMULATED_VERSION = "simulated 1"
_SIMULATED_RATES: dict[str, dict[int, Rate]] = {
    "input": {-1: 250_000},
    "cache_read": {-1: 25_000},
    "cache_write": {-1: 312_500},
    "output": {-1: 2_000_000},
    "web_search": {-1: 10_000_000_000},
    "file_search": {-1: 2_500_000_000},
    "code_interpreter": {-1: 30_000_000_000},
}
"""The simulated provider costs $0.25 / $0.025 / $2 per million tokens, so that a demo shows money."""


_Key: TypeAlias = tuple[str, str, str | None, str | None, str | None]
"""Provider, model, served model, tier, deployment id."""


class _Entry(NamedTuple):
    deployment: Deployment | None
    prices: Rates | Schedule | None
    own: bool
    """Whether it is the deployment's own price list."""


class PriceBook:
    """Prices calls. Safe to use from several threads.

    The catalogue is loaded in a thread, by `warm` or by the first call that needs it. `price` blocks until it is there, so
    an event loop awaits `ready` at its start. Deployments with a price of their own, and the simulated provider, do not
    need it.
    """

    def __init__(self, load: Callable[[], Catalogue] = Catalogue.load) -> None:
        self._load = load
        self._loading: Future[Catalogue] | None = None
        self._lock = Lock()
        self._entries: dict[_Key, _Entry] = {}

    @property
    def version(self) -> str:
        """The catalogue's, such as "genai-prices 0.2.3"."""
        return catalogue_version()

    def warm(self, deployments: Iterable[Deployment] = ()) -> None:
        """Begin to load the catalogue and to compile the prices of these deployments; returns at once.

        Raises ConfigError, naming the deployment, for a custom price that cannot be applied.
        """
        known = tuple(deployments)
        for deployment in known:
            if deployment.prices:
                _own(deployment)
        self._begin(known)

    async def ready(self) -> None:
        """Wait until the catalogue is loaded and `price` does not block."""
        await asyncio.wrap_future(self._begin())

    def price(
        self,
        provider: str,
        model: str,
        usage: Usage,
        *,
        at: int,
        tier: str | None = None,
        deployment: Deployment | None = None,
        served_model: str | None = None,
    ) -> Cost:
        """What `usage` cost at `at` (nanoseconds since 1970).

        `tier` is the service tier that served the call. A tier without prices of its own costs the standard ones, and the
        version says so: "genai-prices 0.2.3/tier:flex" against "genai-prices 0.2.3/tier:standard". Unpriced: an unknown
        model, something used that has no rate, and a usage that nobody told.
        """
        if usage.source == "none":
            return UNPRICED
        # Upstreams name these two, in JSON: anything that is no text names nothing.
        served_model = served_model if isinstance(served_model, str) else None
        tier = tier if isinstance(tier, str) else None
        key = (provider, model, served_model, tier, deployment.id if deployment else None)
        entry = self._entries.get(key)
        if entry is None or entry.deployment is not deployment:
            entry = self._entry(key, deployment)
        if usage.reported_cost is not None and usage.reported_cost >= 0 and not entry.own:
            line = Line("reported", 1, None, usage.reported_cost)
            return Cost("priced", (line,), usage.reported_cost, f"reported by {provider}", "provider")
        prices = entry.prices
        rates = prices.at(at) if isinstance(prices, Schedule) else prices
        return UNPRICED if rates is None else rates.bill(usage)

    def rates(self, provider: str, model: str, deployment: Deployment | None = None) -> Rates | None:
        """The standard rates of today, for display; None where the model is unpriced."""
        prices = self._entry((provider, model, None, None, deployment.id if deployment else None), deployment).prices
        return prices.at(time.time_ns()) if isinstance(prices, Schedule) else prices

    def _entry(self, key: _Key, deployment: Deployment | None) -> _Entry:
        provider, model, served_model, tier_asked, _ = key
        tier = _special(tier_asked)
        own = _own(deployment) if deployment is not None and deployment.prices else None
        prices: Rates | Schedule | None
        if own is not None and own.whole:
            prices = own.rates(tier)
        elif provider == _SIMULATED:
            version = tier_version(_SIMULATED_VERSION, "standard") if tier else _SIMULATED_VERSION
            prices = compile_rates({**_SIMULATED_RATES, **(own.fees if own else {})}, "catalogue", version)
        else:
            listing = _listing(self._catalogue(), provider, model, served_model, deployment)
            prices = listing.prices(tier, own) if listing else None
        if len(self._entries) >= _ENTRIES:
            self._entries.clear()
        entry = self._entries[key] = _Entry(deployment, prices, own is not None and own.whole)
        return entry

    def _catalogue(self) -> Catalogue:
        return self._begin().result()

    def _begin(self, deployments: Sequence[Deployment] = ()) -> Future[Catalogue]:
        """The load, begun if it was not. It also makes the first call of each deployment a fast one."""
        with self._lock:
            if self._loading is None:
                loading: Future[Catalogue] = Future()
                loading.set_running_or_notify_cancel()  # one impatient `ready` must not cancel it for all
                self._loading = loading
                Thread(target=self._run, args=(loading, deployments), name="tollbook-prices").start()
            return self._loading

    def _run(self, loading: Future[Catalogue], deployments: Sequence[Deployment]) -> None:
        try:
            loading.set_result(self._load())
        except Exception as failure:  # whoever asks for a price hears of it
            loading.set_exception(failure)
            return
        for deployment in deployments:
            self.rates(deployment.provider, deployment.model, deployment)


def _own(deployment: Deployment) -> Override:
    try:
        return Override(deployment.prices)
    except ConfigError as wrong:
        raise ConfigError(f"Model {deployment.name!r}: {wrong.message}", param=wrong.param) from None


def _special(tier: str | None) -> str | None:
    """The tier in the catalogue's words; None for the standard one."""
    name = (tier or "").lower()
    return None if name in _STANDARD_TIERS else "batch" if name == "batches" else name


def _listing(
    catalogue: Catalogue, provider: str, model: str, served_model: str | None, deployment: Deployment | None
) -> Listing | None:
    """What a call is priced by. The operator's `base_model` knows best, and may name its provider: `azure/gpt-4o`."""
    base = deployment.base_model if deployment else None
    if base:
        listing = catalogue.find(provider, (base,))
        place, _, name = base.partition("/")
        if listing is None and name and catalogue.knows(place):
            listing = catalogue.find(place, (name,))
        if listing is not None:
            return listing
    return catalogue.find(provider, (served_model, model) if served_model else (model,))
