"""One edition of the price book: a release of the catalogue with the operator's own prices beside it. It never changes.

Which price counts for a call:

1. The deployment's own price (config: `input_cost_per_token` and the like).
2. The operator's price list (`prices` in the configuration, and `tollbook prices set`), by the time of the call.
3. What the provider itself said the call cost (OpenRouter, xAI).
4. The catalogue: by the deployment's `base_model` if it has one, else by the model that served, else by the one asked for.
5. Nobody knows: the call is unpriced.

Fees for hosted tools and per request that 1 and 2 name alone come on top of whatever counts. What is agreed beside a price
(uplift, discount, margin) is the deployment's where it says so, else the price list's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from tollbook.call import UNPRICED, Cost, Line
from tollbook.config import Deployment
from tollbook.config.prices import special
from tollbook.errors import ConfigError
from tollbook.responses.usage import Usage

from .agreement import Agreement, agree
from .catalogue import Catalogue, Listing
from .override import OTHERS, Applied, Override
from .own import OwnPrice, OwnPrices, changes, counts_units
from .rates import Rate, Rates, Schedule, Steps, compile_rates, tier_version

_ENTRIES = 4096
"""Prices kept compiled. Served models and tiers are named by upstreams, so there must be a bound."""

_SIMULATED = "simulated"
_SIMULATED_VERSION = "simulated 1"
_SIMULATED_RATES: Mapping[str, Mapping[int, Rate]] = {
    "input": {-1: 250_000},
    "cache_read": {-1: 25_000},
    "cache_write": {-1: 312_500},
    "output": {-1: 2_000_000},
    "web_search": {-1: 10_000_000_000},
    "file_search": {-1: 2_500_000_000},
    "code_interpreter": {-1: 30_000_000_000},
}
"""The simulated provider costs $0.25 / $0.025 / $2 per million tokens, so that a demo shows money."""

_LONGEST = 200
"""Characters of a model's name in the reason why it is unpriced."""

_Key: TypeAlias = tuple[str, str, str | None, str | None, str | None]
"""Provider, model, served model, tier, deployment id."""


class Found(NamedTuple):
    """What holds for a model at a time."""

    rates: Rates | None
    own: bool
    """Whether they are the operator's, which come before what the provider says."""
    agreed: Agreement | None


class _Entry(NamedTuple):
    deployment: Deployment | None
    always: Found | None
    """What holds at any time; None where it depends on it, as `schedule` says."""
    schedule: Schedule[Found] | None
    unknown: Cost
    """The answer where there are no rates."""


class Edition:
    """Prices calls. Safe to use from several threads; `price` has no effect but that prices stay compiled.

    `catalogue` answers at once, or blocks until it is loaded. Prices of the operator's own, and those of the simulated
    provider, do not need it.
    """

    def __init__(self, catalogue: Callable[[], Catalogue], own: OwnPrices | None = None) -> None:
        self.catalogue = catalogue
        self.own = own or OwnPrices()
        self._entries: dict[_Key, _Entry] = {}

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
        answered: bool = True,
    ) -> Cost:
        """What `usage` cost at `at` (nanoseconds since 1970).

        `tier` is the service tier that served the call. A tier without prices of its own costs the standard ones, and the
        version says so: "genai-prices 0.2.3/tier:flex" against "genai-prices 0.2.3/tier:standard". Unpriced: an unknown
        model ("no price:openai/gpt-9"), something used that has no rate (".../no rate:input_audio") or that a price counts and
        nobody counted (".../not counted:input_pages"), and a usage that nobody told. `answered`: the attempt made what the
        client got, so that a margin per call is due.
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
        found = entry.always
        if found is None:
            assert entry.schedule is not None
            found = entry.schedule.at(at)
        rates = found.rates
        if usage.reported_cost is not None and usage.reported_cost >= 0 and not found.own:
            return _reported(provider, usage.reported_cost, found.agreed, answered)
        return entry.unknown if rates is None else rates.bill(usage, answered=answered)

    def found(
        self,
        provider: str,
        model: str,
        deployment: Deployment | None = None,
        *,
        at: int | None = None,
        tier: str | None = None,
        served_model: str | None = None,
    ) -> Found:
        """What holds at a time (default: now)."""
        entry = self._entry((provider, model, served_model, tier, deployment.id if deployment else None), deployment)
        if entry.schedule is not None:
            return entry.schedule.at(time.time_ns() if at is None else at)
        assert entry.always is not None
        return entry.always

    def rates(
        self,
        provider: str,
        model: str,
        deployment: Deployment | None = None,
        *,
        at: int | None = None,
        tier: str | None = None,
    ) -> Rates | None:
        """The rates at a time (default: now), for display; None where the model is unpriced."""
        return self.found(provider, model, deployment, at=at, tier=tier).rates

    def tiers(self, provider: str, model: str, deployment: Deployment | None = None) -> list[str]:
        """The service tiers that have prices or terms of their own, at whatever time."""
        own = _own(deployment)
        found = list(own.tiers) if own else []
        names = _names(provider, model, None, deployment)
        for price in self.own.prices:
            if any(price.pattern.fullmatch(name) for name in names):
                found += [price.entry.tier] if price.entry.tier else []
                found += price.override.tiers if price.override else ()
        if not (own and own.whole) and provider != _SIMULATED:
            listing = _listing(self.catalogue(), provider, model, None, deployment)
            found += listing.tiers if listing else ()
        return list(dict.fromkeys(found))

    def units(
        self,
        provider: str,
        model: str,
        deployment: Deployment,
        *,
        at: int,
        tier: str | None = None,
        served_model: str | None = None,
    ) -> tuple[str, ...]:
        """What the price of a call counts beside tokens, so that `Usage.units` must tell it. Nearly always nothing, at once."""
        if not self.own.counts_units and not (deployment.prices and counts_units(deployment.prices)):
            return ()
        rates = self.found(provider, model, deployment, at=at, tier=tier, served_model=served_model).rates
        return rates.units if rates is not None else ()

    def _entry(self, key: _Key, deployment: Deployment | None) -> _Entry:
        held = self._entries.get(key)
        if held is not None and held.deployment is deployment:
            return held
        provider, model, served_model, tier_asked, _ = key
        search = _Search(self, provider, model, served_model, special(tier_asked), deployment)
        unknown = Cost("unpriced", version=f"no price:{provider}/{model}"[:_LONGEST])
        times = changes(search.listed)
        moments = search.moments
        if times or moments is not None:
            entry = _Entry(deployment, None, Schedule(search.at, moments or (), times), unknown)
        else:
            entry = _Entry(deployment, search.at(0), None, unknown)
        if len(self._entries) >= _ENTRIES:
            self._entries.clear()
        self._entries[key] = entry
        return entry


class _Search:
    """Everything that may hold for one kind of call, found once; `at` says what does at a time."""

    def __init__(
        self,
        edition: Edition,
        provider: str,
        model: str,
        served_model: str | None,
        tier: str | None,
        deployment: Deployment | None,
    ) -> None:
        self.tier = tier
        self.terms = [deployment.terms] if deployment else []
        self.own = _own(deployment)
        self.listed = edition.own.fitting(_names(provider, model, served_model, deployment), tier)
        self.simulated = provider == _SIMULATED
        self.listing: Listing | None = None
        if not (self.own and self.own.whole) and not self.simulated and not self._always_listed():
            self.listing = _listing(edition.catalogue(), provider, model, served_model, deployment)

    @property
    def moments(self) -> list[int] | None:
        return self.listing.moments(self.tier) if self.listing else None

    def _always_listed(self) -> bool:
        return any(
            price.override is not None
            and price.override.whole
            and price.entry.valid_from is None
            and price.entry.valid_until is None
            for price in self.listed
        )

    def at(self, at: int) -> Found:
        listed = [price for price in self.listed if price.holds(at)]
        agreed = agree([*self.terms, *(price.entry.terms for price in listed)])
        whole = next((price for price in listed if price.override and price.override.whole), None)
        marginal = False
        if self.own is not None and self.own.whole:
            applied: Applied | None = self.own.applied(self.tier)
            version, marginal = self.own.version, self.own.marginal
        elif whole is not None:
            assert whole.override is not None
            applied = _of_entry(whole, whole.override, self.tier)
            version, marginal = whole.version, whole.override.marginal
        elif self.simulated:
            applied = Applied(_SIMULATED_RATES, OTHERS if self.tier else None)
            version = _SIMULATED_VERSION
        else:
            applied = self.listing.applied(at, self.tier) if self.listing else None
            version = self.listing.version if self.listing else ""
        own = whole is not None or (self.own is not None and self.own.whole)
        if applied is None:
            return Found(None, False, agreed)
        # A price list of the operator's stands by what it says itself; the catalogue's fees give way.
        fees, fee_versions = self._fees(listed, taken=applied.steps if own else {})
        rates = compile_rates(
            {**applied.steps, **fees},
            "override" if own else "catalogue",
            tier_version("+".join([version, *fee_versions]), applied.tier),
            one_price_for_all_media=applied.one_price_for_all_media,
            marginal=marginal,
            agreed=agreed,
            since=applied.since,
        )
        return Found(rates, own, agreed)

    def _fees(self, listed: Sequence[OwnPrice], taken: Steps) -> tuple[dict[str, Mapping[int, Rate]], list[str]]:
        """Fees that are said alone, the deployment's first, and what names them; none of a kind that is `taken`."""
        said = [(self.own, self.own.version)] if self.own is not None and not self.own.whole else []
        said += [(p.override, p.version) for p in listed if p.override is not None and not p.override.whole]
        fees: dict[str, Mapping[int, Rate]] = {}
        versions = []
        for override, version in said:
            new = {kind: rate for kind, rate in override.fees.items() if kind not in fees and kind not in taken}
            fees |= new
            versions += [version] if new else []
        return fees, versions


def _of_entry(price: OwnPrice, override: Override, tier: str | None) -> Applied:
    """The prices of a listed entry. One for a tier alone says its prices without naming the tier again."""
    tier_alone = price.entry.tier
    applied = override.applied(None)._replace(tier=tier_alone) if tier_alone else override.applied(tier)
    return applied._replace(since=price.entry.valid_from)


def _reported(provider: str, cost: int, agreed: Agreement | None, answered: bool) -> Cost:
    lines = [Line("reported", 1, None, cost)]
    whole = Cost("priced", tuple(lines), cost, f"reported by {provider}", "provider")
    if agreed is None:
        return whole
    lines, total, margin = agreed.settle(lines, reported=True, answered=answered)
    version = f"{whole.version}{replace(agreed, uplift=Fraction(0)).version}"
    return Cost("priced", tuple(lines), total, version, "provider", margin=margin)


def check(deployments: Iterable[Deployment]) -> None:
    """Raises ConfigError, naming the deployment, for a price of its own that cannot be applied."""
    for deployment in deployments:
        _own(deployment)


def _own(deployment: Deployment | None) -> Override | None:
    if deployment is None or not deployment.prices:
        return None
    try:
        return Override(deployment.prices)
    except ConfigError as wrong:
        raise ConfigError(f"Model {deployment.name!r}: {wrong.message}", param=wrong.param) from None


def _names(provider: str, model: str, served_model: str | None, deployment: Deployment | None) -> list[str]:
    """What the operator's price list may call it, the best first."""
    base = deployment.base_model if deployment else None
    names = [f"{provider}/{name}" for name in (served_model, model, base) if name]
    return [*names, base] if base and "/" in base else names


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
