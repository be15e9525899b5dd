"""The application: routes, errors, start and stop. Wiring only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, cast

from litestar import Litestar, Request, get
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.response import Response
from litestar.types import ASGIApp

from tollbook import tokens
from tollbook.access.allowances import Allowances
from tollbook.access.keys import Keys
from tollbook.books import Books
from tollbook.call import Observer
from tollbook.config import Config
from tollbook.errors import ConfigError, TollbookError
from tollbook.gateway import Gateway
from tollbook.pricing.book import PriceBook
from tollbook.storage import Store, connect_store, open_store
from tollbook.storage.allowances import AllowanceTable
from tollbook.storage.keys import KeyTable
from tollbook.storage.makers import MakerTable
from tollbook.storage.prices import PriceTable
from tollbook.telemetry import Telemetry
from tollbook.version import VERSION

from . import admin, errors, metrics, routes
from .answers import KEEP_ALIVE
from .gate import Gate
from .recovery import recover
from .reload import Reload, on_hangup

_log = logging.getLogger("tollbook")


@get(["/health/live", "/healthz"], sync_to_thread=False)
def live() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@get(["/health", "/health/ready", "/readyz"])
async def ready(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
    """Whether it can serve: the books are open and prices are loaded."""
    gateway = cast("Gateway | None", request.app.state.get("gateway"))
    if gateway is None:
        return Response({"status": "starting"}, status_code=503)
    return Response({"status": "ok", "version": VERSION})


def create_app(
    config: Config, *, environment: Mapping[str, str], data_dir: Path | None, worker: str | None = None
) -> ASGIApp:
    """The gateway as an ASGI application.

    `data_dir` None keeps everything in memory. `worker` names this process among several; then the recorder is a process
    of its own and must be running. Raises ConfigError for a directory that is another gateway's, and for OTEL_* variables
    that mean nothing here.
    """
    # Here and not with the loop: who may not start is told why in a sentence, without a server around it.
    telemetry = Telemetry(config.telemetry, environment, data_dir=data_dir, worker=worker)
    telemetry.start()
    store = _store(config, data_dir, worker)
    if data_dir is not None and worker is None:
        metrics.begin_at_zero(data_dir)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        settings = config.general
        table = KeyTable(data_dir)
        keys = Keys(table, master_key=settings.master_key)
        keys.configure(config.budgets, config.limits)
        keys.watch()
        counts = AllowanceTable(data_dir)
        allowances = Allowances(counts, keys, output_tokens=settings.budget_output_tokens)
        price_table = PriceTable(data_dir)
        book = PriceBook(table=price_table, keeps=True)
        book.warm(config.deployments.values(), config.prices)
        observers: list[Observer] = [allowances]
        if telemetry.observer is not None:
            observers.append(telemetry.observer)
        telemetry.open(models=metrics.spelt_out(config), known=partial(metrics.known, book))
        telemetry.watch("lag", partial(metrics.lag, store))
        makers = None if data_dir is None else MakerTable(data_dir)
        books = Books(store, book, observers)
        gateway = Gateway(config, books=books, environment=environment, makers=makers, allowances=allowances)
        app.state.access, app.state.allowances, app.state.gateway = keys, allowances, gateway
        reload = Reload(gateway, book, keys, environment)

        async def again() -> None:
            await reload()
            telemetry.reconfigure(metrics.spelt_out(gateway.config))

        tokens.warm()
        recovery = asyncio.create_task(recover(gateway, book, allowances, again=worker is not None))
        try:
            with on_hangup(lambda: gateway.books.later(again())):
                yield
        finally:
            recovery.cancel()
            await gateway.close()
            await asyncio.to_thread(counts.close)
            if makers is not None:
                makers.close()
            keys.close()
            table.close()
            book.close()
            price_table.close()
            telemetry.stop()

    app = Litestar(
        route_handlers=[live, ready, metrics.get_metrics, *routes.ROUTES, *admin.ROUTES],
        lifespan=[lifespan],
        state=State(
            {
                "gateway": None,
                "telemetry": telemetry,
                "metrics_public": config.telemetry.metrics_public,
                "keep_alive": _seconds(environment, "TOLLBOOK_KEEP_ALIVE", KEEP_ALIVE),
            }
        ),
        exception_handlers={
            HTTPException: errors.http_error,
            TollbookError: errors.own_error,
            Exception: errors.fault,
        },
        request_max_body_size=config.general.max_request_bytes,
        openapi_config=OpenAPIConfig(
            title="Tollbook",
            version=VERSION,
            description="The gateway that keeps the books: OpenAI's Responses API for every provider.",
            path="/docs",
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        ),
        logging_config=None,
        on_app_init=[_plain],
    )
    return cast("ASGIApp", telemetry.wrap(Gate(cast("ASGIApp", app), open_to_all=config.general.master_key is None)))


def _store(config: Config, data_dir: Path | None, worker: str | None) -> Store:
    settings = config.general
    content = settings.store_prompts_in_spend_logs
    if worker is not None and data_dir is not None:
        return connect_store(data_dir, worker=worker, content=content)
    return open_store(data_dir, retention_days=settings.retention_days, content=content)


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    """A time of more than 0 from the environment. Raises ConfigError naming the variable."""
    text = environment.get(name, "").strip()
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < inf:
        raise ConfigError(f"{name}={text}: a number of seconds, more than 0, was expected.")
    return seconds


def _plain(settings: AppConfig) -> AppConfig:
    """No debug pages, whatever the environment says: they would show requests."""
    settings.debug = False
    return settings
