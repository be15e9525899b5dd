"""The bridge to genai-prices: dated, sourced prices of some 2,300 models, compiled to integer rates.

The library answers one call in 300-500 us with `Decimal`; compiled, the same figures take a few. Its data is read here
through its documented types only (`Provider.find_model`, `ModelInfo.get_prices`, `ModelPrice`, `TieredPrices`).
Importing it takes 0.3 s, and 2 s where its byte code is not yet on disk, so only `Catalogue.load` does, and nobody calls
that on the path of a request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from tollbook.config.prices import REQUEST, special

from .override import OTHERS, Applied, whole
from .rates import PICO, Rate, Rates, compile_rates, tier_version

if TYPE_CHECKING:
    from genai_prices.types import (
        ConditionalPrice,
        ModelInfo,
        ModelPrice,
        PriceVariant,
        Provider,
        StartDateConstraint,
        TimeOfDateConstraint,
    )

PACKAGE = "genai-prices"

ALIASES: Mapping[str, str] = {
    "gemini": "google",
    "vertex": "google",
    "vertex_ai": "google",
    "vertex_ai_beta": "google",
    "google_ai_studio": "google",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "sagemaker": "aws",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "xai": "x-ai",
    "together_ai": "together",
    "togetherai": "together",
    "fireworks_ai": "fireworks",
    "moonshot": "moonshotai",
    "cohere_chat": "cohere",
    "github_copilot": "github-copilot",
    "meta_llama": "meta",
    "novita_ai": "novita",
    "z_ai": "zai",
    "voyage": "voyageai",
}
"""Our provider names -> the catalogue's. Others must be the catalogue's own: its fuzzy match would price `my-openai-proxy`
as OpenAI."""

_KINDS: Mapping[str, tuple[str, int]] = {
    "input_mtok": ("input", 1_000_000),
    "cache_read_mtok": ("cache_read", 1_000_000),
    "cache_write_mtok": ("cache_write", 1_000_000),
    "cache_write_1h_mtok": ("cache_write_1h", 1_000_000),
    "input_audio_mtok": ("input_audio", 1_000_000),
    "input_image_mtok": ("input_image", 1_000_000),
    "cache_audio_read_mtok": ("cache_read_audio", 1_000_000),
    "output_mtok": ("output", 1_000_000),
    "output_reasoning_mtok": ("reasoning", 1_000_000),
    "output_audio_mtok": ("output_audio", 1_000_000),
    "output_image_mtok": ("output_image", 1_000_000),
    "web_searches_kcount": ("web_search", 1_000),
    "social_searches_kcount": ("x_search", 1_000),
    "storage_searches_kcount": ("file_search", 1_000),
    "code_executions_kcount": ("code_interpreter", 1_000),
    "requests_kcount": (REQUEST, 1_000),
}
"""The catalogue's price keys -> our kind and the units that the price is for. Hours of audio, characters, pages and
pixels are what models cost that serve no Responses."""

_ONE_PRICE_FOR_ALL_MEDIA = frozenset({"google"})

_INCLUDED: Mapping[str, Sequence[str]] = {"google": ("code_interpreter", "file_search", "image_generation")}
"""Hosted tools that cost a provider's customers nothing but tokens, which are counted as such
(https://ai.google.dev/gemini-api/docs/code-execution, https://ai.google.dev/gemini-api/docs/file-search)."""

_CONTEXT = ("processing", "service_tier", "speed")
"""What the catalogue selects a tier's prices by: OpenAI's `service_tier`, Anthropic's `speed`, and batches."""

_DAY = 86_400 * 10**9
_STABLE_VERSION = re.compile(r"-\d{3}$")
_LONGEST_NAME = 256
_FOUND = 8192
"""Names kept with what was found under them."""
_CHECKED = re.compile(r"(?:[Vv]erified|[Cc]hecked|[Aa]s of)[^.;]{0,40}?(20\d{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d))\b")


class Listing:
    """One model in the catalogue."""

    def __init__(self, provider: Provider, model: ModelInfo, version: str) -> None:
        self.provider = provider
        self.model = model
        self.version = version
        # The library ignores variants of a model that is borrowed from another provider (OpenAI's, on Azure): the tiers
        # of one place are not those of another.
        self._own = any(model is own for own in provider.models)

    @property
    def name(self) -> str:
        """`provider/model`, as the catalogue calls them."""
        return f"{self.provider.id}/{self.model.id}"

    @property
    def tiers(self) -> tuple[str, ...]:
        """The service tiers that it has prices for, beside the standard one."""
        named = [tier for variant in self.model.price_variants or () if self._own for tier in _tiers(variant)]
        return tuple(dict.fromkeys(tier for tier in named if special(tier)))

    def moments(self, tier: str | None) -> list[int] | None:
        """The moments of the UTC day (nanoseconds) at which its prices change; None where they are the same at any time.

        At midnight they may change, too.
        """
        constraints = [price.constraint for price in _conditional(self.model)]
        constraints += [variant.constraint for variant in self.model.price_variants or ()] if tier else []
        if not any(constraints):
            return None
        moments = {
            _nanoseconds(moment)
            for constraint in constraints
            for moment in (getattr(constraint, "start_time", None), getattr(constraint, "end_time", None))
            if isinstance(moment, time)
        }
        return sorted(moments)

    def applied(self, at: int, tier: str | None) -> Applied | None:
        """The prices at a time in nanoseconds since 1970; None where the catalogue lists the model without a price."""
        when = datetime.fromtimestamp(at // 1_000_000_000, UTC)
        context: Mapping[str, str] | None = None
        if tier is not None:
            context = self._context(when, tier)
            tier = tier if context else OTHERS
        listed = _steps(self.model.get_prices(when, context))
        if not listed:
            return None
        place = self.provider.id
        steps = {tool: {-1: 0} for tool in _INCLUDED.get(place, ())} | listed
        return Applied(steps, tier, self._since(when, context), place in _ONE_PRICE_FOR_ALL_MEDIA)

    def rates(self, at: int, tier: str | None) -> Rates | None:
        """The same, compiled."""
        found = self.applied(at, tier)
        if found is None:
            return None
        version = tier_version(self.version, found.tier)
        media = found.one_price_for_all_media
        return compile_rates(found.steps, "catalogue", version, one_price_for_all_media=media, since=found.since)

    def _since(self, when: datetime, context: Mapping[str, str] | None) -> int | None:
        """When the youngest of the prices that hold at a time began, as far as the catalogue dates them."""
        holding = [p.constraint for p in reversed(_conditional(self.model)) if _active(p.constraint, when)][:1]
        for variant in self.model.price_variants or () if context else ():
            if context and _active(variant.constraint, when) and _selected(variant, context):
                holding.append(variant.constraint)
        begun = [start for one in holding if isinstance(start := getattr(one, "start_date", None), date)]
        return (max(begun) - date(1970, 1, 1)).days * _DAY if begun else None

    def _context(self, when: datetime, tier: str) -> Mapping[str, str] | None:
        """What selects the tier's prices, if the catalogue has them at that time."""
        context = dict.fromkeys(_CONTEXT, tier)
        for variant in self.model.price_variants or () if self._own else ():
            if _active(variant.constraint, when) and _selected(variant, context):
                return context
        return None


class Catalogue:
    """All prices of one release of genai-prices."""

    def __init__(self, providers: Sequence[Provider], version: str) -> None:
        self.version = version
        self.providers = list(providers)
        self._by_id = {provider.id: provider for provider in providers}
        self._found: dict[tuple[str, str], ModelInfo | None] = {}

    @classmethod
    def load(cls) -> Catalogue:
        """Import the library's own data. Takes 0.3 to 2 s; makes no connection."""
        from genai_prices.data_snapshot import get_snapshot

        return cls(get_snapshot().providers, catalogue_version())

    def find(self, provider: str, names: Sequence[str]) -> Listing | None:
        """The first of several names that this provider's list has."""
        place = self._by_id.get(ALIASES.get(provider, provider))
        if place is None:
            return None
        for name in names:
            key = (place.id, name)
            if key not in self._found:
                if len(self._found) >= _FOUND:
                    self._found.clear()
                self._found[key] = self._search(place, name)
            if (model := self._found.get(key)) is not None:
                return Listing(place, model, self.version)
        return None

    def _search(self, place: Provider, name: str) -> ModelInfo | None:
        """The library tries the rules of one model after the other."""
        for spelling in _spellings(name, place.id):
            model = place.find_model(spelling, all_providers=self.providers)
            if model is not None:
                return model
        return None

    def knows(self, provider: str) -> bool:
        """Whether there is a list for this provider."""
        return ALIASES.get(provider, provider) in self._by_id

    @property
    def checked(self) -> date | None:
        """The newest day on which somebody compared a price with the provider's, as its remarks tell: no release is older."""
        remarks = [text for p in self.providers for text in (p.price_comments, *(m.price_comments for m in p.models))]
        told = [date.fromisoformat(day) for text in remarks if text for day in _CHECKED.findall(text)]
        return max(told, default=None)

    def listings(self) -> Iterator[Listing]:
        """Every model of every provider."""
        for provider in self.providers:
            for model in provider.models:
                yield Listing(provider, model, self.version)


def catalogue_version() -> str:
    """The catalogue's name and release, without loading it."""
    from importlib.metadata import version

    return f"{PACKAGE} {version(PACKAGE)}"


def _spellings(name: str, place: str) -> Iterator[str]:
    """How the catalogue may call a model that a cloud calls by a path.

    Vertex: `publishers/anthropic/models/claude-...` (https://cloud.google.com/vertex-ai/docs/reference/rest),
    Gemini: `models/...`; a stable version `-001` costs what its alias does. Bedrock: ARNs and `region/model`; the
    catalogue knows region prefixes such as `us.` and `global.` itself
    (https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html), but OpenAI's models only
    with the version that Bedrock's own OpenAI endpoint leaves out.
    """
    if not name or len(name) > _LONGEST_NAME:
        return
    yield name
    tail = name.rpartition("models/")[2]
    if tail and tail != name:
        yield tail
    if place == "aws" and "/" in name:
        yield name.rpartition("/")[2]
    if place == "aws" and name.startswith("openai.") and ":" not in name:
        yield f"{name}-1:0"
    if place == "google" and _STABLE_VERSION.search(tail):
        yield _STABLE_VERSION.sub("", tail)


def _steps(price: ModelPrice) -> dict[str, dict[int, Rate]]:
    """A price of the library as rates by kind and threshold. Its thresholds are exclusive: `start` 200,000 holds from 200,001
    on (an inclusive one is listed as 199,999)."""
    steps: dict[str, dict[int, Rate]] = {}
    for key, (kind, per) in _KINDS.items():
        value = getattr(price, key, None)
        if value is None:
            continue
        if isinstance(value, Decimal):
            steps[kind] = {-1: _rate(value, per)}
        else:
            steps[kind] = {-1: _rate(value.base, per)} | {tier.start: _rate(tier.price, per) for tier in value.tiers}
    return steps


def _active(constraint: StartDateConstraint | TimeOfDateConstraint | None, when: datetime) -> bool:
    return constraint is None or constraint.active(when)


def _selected(variant: PriceVariant, context: Mapping[str, str]) -> bool:
    return all(context.get(key) == value for key, value in variant.when.items())


def _tiers(variant: PriceVariant) -> list[str]:
    return [value for key, value in variant.when.items() if key in _CONTEXT]


def _rate(usd: Decimal, per: int) -> Rate:
    return whole(Fraction(usd) * PICO / per)


def _conditional(model: ModelInfo) -> Sequence[ConditionalPrice]:
    return model.prices if isinstance(model.prices, list) else ()


def _nanoseconds(moment: time) -> int:
    """A time of day as nanoseconds of the UTC day."""
    if moment.tzinfo is not None:
        moment = datetime.combine(datetime(2000, 1, 1, tzinfo=UTC), moment).astimezone(UTC).time()
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 10**9 + moment.microsecond * 1000
