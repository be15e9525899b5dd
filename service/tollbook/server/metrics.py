"""GET /metrics: what Prometheus scrapes, of all workers together - and what the metrics need to know of the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from time import time_ns
from typing import Any, cast

from litestar import Request, get
from litestar.response import Response

from tollbook.config import Config
from tollbook.pricing.book import PriceBook
from tollbook.providers import simulated
from tollbook.storage import Store
from tollbook.storage.journaled import JournaledStore
from tollbook.telemetry import Telemetry
from tollbook.telemetry.board import clear
from tollbook.telemetry.meter import Reading

from .admin.door import administrator

_SIMULATED = frozenset({"echo", "story", "reasoner", "tools"})


@get("/metrics")
async def get_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Metrics for Prometheus, of all workers together; OpenMetrics with exemplars where `Accept` asks for it.

    Needs the master key, unless `telemetry.metrics_public` is set or the gateway has none (then only this machine is served).
    """
    if not request.app.state.metrics_public:
        administrator(request)
    telemetry = cast("Telemetry", request.app.state.telemetry)
    text, media = await asyncio.to_thread(telemetry.exposition, request.headers.get("accept", ""))
    return Response(text, media_type=media)


def begin_at_zero(data_dir: Path) -> None:
    """A gateway that starts anew counts from zero, as Prometheus expects of a restart."""
    clear(data_dir)


def spelt_out(config: Config) -> set[str]:
    """The names of models that the configuration says itself, public ones and providers'."""
    names = {name for name in config.names if "*" not in name}
    names |= set(config.router.model_group_alias)
    for deployment in config.deployments.values():
        if "*" not in deployment.provider + deployment.model:
            names |= {deployment.model, f"{deployment.provider}/{deployment.model}"}
    return names


def known(book: PriceBook, provider: str, model: str) -> bool:
    """Whether the price catalogue has a model. The simulated provider prices any name; the four that it plays are known."""
    if provider == simulated.PROVIDER:
        return model in _SIMULATED
    return book.rates(provider, model) is not None


def lag(store: Store) -> Iterable[Reading]:
    """Seconds since the oldest call was journaled that may not be in the tables yet; up to two are usual."""
    recorded = store.oldest() if isinstance(store, JournaledStore) else None
    return [((), max(time_ns() - recorded, 0) / 1e9 if recorded is not None else 0.0)]
