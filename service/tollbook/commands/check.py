"""tollbook check: what a configuration means, before it is used. Nothing is sent."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from tollbook.errors import ConfigError

from .configured import config_argument, configured
from .places import Place, places, problems
from .prices import price_book
from .terminal import complain, printable, say, table

if TYPE_CHECKING:
    from tollbook.config import Config, Deployment
    from tollbook.pricing import PriceBook

HELP = "validate a configuration and price every model in it; sends nothing"


def arguments(parser: ArgumentParser) -> None:
    config_argument(parser)
    parser.add_argument(
        "--live",
        action="store_true",
        help="a dry run: for each deployment in full where its requests would go, how they authenticate and which "
        "language they speak",
    )


def run(args: Namespace) -> int:
    from tollbook.config.price_list import doubts

    config = configured(args)
    found = places(config, os.environ)
    prices, mistakes = _prices(config)
    source = config.source or "no file, models from the environment"
    say(f"{source}: {_count(len(config.routes), 'model')}, {_count(len(found), 'deployment')}")
    if args.live:
        for place in found:
            _tell(place, prices[place.deployment.id])
    elif found:
        say()
        _draw(found, prices)
    if unpriced := [place.deployment for place in found if prices[place.deployment.id] == UNPRICED]:
        say(f"\nUnpriced ({len(unpriced)}): calls are booked without a cost. Set prices, or base_model:")
        for deployment in unpriced:
            say(f"  {printable(deployment.name)} ({printable(f'{deployment.provider}/{deployment.model}')})")
    if doubtful := doubts(config.prices, time.time_ns()):
        say(f"\nDoubtful ({len(doubtful)}):")
        for doubt in doubtful:
            say(f"  prices: {printable(doubt)}")
    if config.warnings:
        say(f"\nIgnored ({len(config.warnings)}):")
        for warning in config.warnings:
            say(f"  {printable(warning)}")
    if wrong := [*mistakes, *problems(found)]:
        complain("\n  ".join(["these models cannot be served:", *wrong]))
        return 1
    say("\nAll right.")
    return 0


UNPRICED = "unpriced"
LONGER = " (more for long input)"

_SCHEMES = {
    "none": "none",
    "bearer": "bearer: a key or token in the Authorization header",
    "sigv4": "sigv4: signed with AWS credentials",
    "google": "google: a token by Application Default Credentials or the named account",
    "entra": "entra: a token of Microsoft Entra ID",
}
"""Auth schemes for people; any other is the name of the header that has the key."""


def _prices(config: Config) -> tuple[dict[str, str], list[str]]:
    """The price of each deployment in words, and the own prices that cannot be applied."""
    prices: dict[str, str] = {}
    mistakes: list[str] = []
    with price_book(config) as (book, _):
        for deployment in config.deployments.values():
            try:
                prices[deployment.id] = _price(book, deployment)
            except ConfigError as error:
                prices[deployment.id] = UNPRICED
                mistakes.append(error.message)
    return prices, mistakes


def _price(book: PriceBook, deployment: Deployment) -> str:
    named = deployment.prices or deployment.base_model or deployment.provider == "simulated"
    if "*" in deployment.model and not named:
        return "by model"
    rates = book.rates(deployment.provider, deployment.model, deployment)
    if rates is None:
        return UNPRICED
    sides = (("in", rates.usd("input")), ("out", rates.usd("output")))
    told = [f"${usd:f} {side}" for side, usd in sides if usd is not None]
    told += rates.agreed.words if rates.agreed else []
    return ", ".join(told) + (LONGER if rates.thresholds else "") if told else UNPRICED


def _draw(found: list[Place], prices: dict[str, str]) -> None:
    columns = ("Model", "Deployment", "Provider", "Its model", "URL", "Auth", "Dialect", "USD per 1M tokens")
    rows = []
    for place in found:
        deployment, endpoint = place.deployment, place.endpoint
        where = (endpoint.url, endpoint.auth_scheme, _dialect(place)) if endpoint else (_missing(place), "", "")
        rows.append(
            (deployment.name, deployment.id, deployment.provider, deployment.model, *where, prices[deployment.id])
        )
    table(columns, rows)


def _tell(place: Place, price: str) -> None:
    from tollbook.providers import azure

    deployment, endpoint = place.deployment, place.endpoint
    lines = [("deployment", deployment.id), ("provider", deployment.provider), ("its model", deployment.model)]
    if endpoint:
        lines += [("url", f"POST {endpoint.url}")]
        if endpoint.stream_url != endpoint.url:
            lines += [("streamed", f"POST {endpoint.stream_url}")]
        scheme = endpoint.auth_scheme
        lines += [("auth", _SCHEMES.get(scheme, f"{scheme}: a key in this header")), ("dialect", _dialect(place))]
    else:
        lines += [("url", place.problem or _missing(place))]
    lines += [("price", _per_million(price))]
    if endpoint and (remark := azure.remark(endpoint)):
        lines += [("but", remark)]
    say(f"\n{printable(deployment.name)}")
    for name, value in lines:
        say(f"  {name:<12}{printable(value)}")


def _per_million(price: str) -> str:
    if price in (UNPRICED, "by model"):
        return price
    plain = price.removesuffix(LONGER)
    return f"{plain} per 1M tokens{LONGER if plain != price else ''}"


def _dialect(place: Place) -> str:
    """The language, and whose manner of it where hosts differ."""
    from tollbook.dialects.chat import Chat, Manner

    assert place.endpoint is not None
    dialect = place.endpoint.dialect
    if isinstance(dialect, Chat):
        return f"chat ({dialect.manner.host})" if dialect.manner.host != Manner().host else "chat"
    return str(getattr(dialect, "__name__", type(dialect).__name__)).rpartition(".")[2].lower()


def _missing(place: Place) -> str:
    return "cannot be served" if place.problem else "as the request names the provider"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
