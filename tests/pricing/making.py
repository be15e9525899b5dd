"""Small catalogues and own prices for tests of the price book."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from genai_prices.types import ClauseEquals, ConditionalPrice, ModelInfo, ModelPrice, Provider

from tollbook.config import Deployment, PriceEntry, Terms
from tollbook.config.price_list import SHARES
from tollbook.pricing.catalogue import Catalogue
from tollbook.responses.usage import Usage

NOW = 1_793_491_200 * 10**9  # 2026-11-01
MILLION = Usage(input=1_000_000)


def at(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp()) * 10**9  # type: ignore[misc,arg-type]


def model(name: str, prices: ModelPrice | list[ConditionalPrice], **more: Any) -> ModelInfo:
    return ModelInfo(id=name, match=ClauseEquals(equals=name), prices=prices, **more)


def price(usd_in: str, usd_out: str = "10", **more: Any) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(usd_in), output_mtok=Decimal(usd_out), **more)


def provider(name: str, *models: ModelInfo, **more: Any) -> Provider:
    return Provider(id=name, name=name, api_pattern="", models=list(models), **more)


def catalogue(usd_in: str = "1", version: str = "test 1") -> Catalogue:
    """One model, `openai/m`."""
    return Catalogue([provider("openai", model("m", price(usd_in)))], version)


def deployment(provider: str = "openai", model: str = "m", **more: Any) -> Deployment:
    return Deployment(id="d", name="public", provider=provider, model=model, **more)


def entry(model: str, usd: str | None = None, **more: Any) -> PriceEntry:
    """An entry of a price list: `usd` is what a million tokens of input cost, ten times that of output."""
    prices = {} if usd is None else {"input_cost_per_token": f"{usd}e-6", "output_cost_per_token": f"{usd}e-5"}
    prices |= {name: more.pop(name) for name in list(more) if "cost" in name or name == "threshold_rule"}
    terms = Terms(**{name: Decimal(more.pop(name)) for name in SHARES if name in more})
    return PriceEntry(model=model, prices=prices, terms=terms, **more)
