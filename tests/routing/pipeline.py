"""The gateway without its HTTP door, in front of providers that do as they are told; its spans are kept in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tollbook.access.keys import NOBODY, Caller
from tollbook.books import Books
from tollbook.call import Call
from tollbook.config import config_from
from tollbook.errors import TollbookError
from tollbook.gateway import Gateway
from tollbook.pricing.book import PriceBook
from tollbook.responses import request as requests
from tollbook.routing.router import Router
from tollbook.storage import open_store
from tollbook.storage.makers import MakerTable
from tollbook.telemetry.genai import Manner
from tollbook.telemetry.guest import GuestSpans


@dataclass
class Told:
    """What a client got of one request: events or a whole response, or one error; and the record of the call."""

    call: Call
    events: list[dict[str, Any]] = field(default_factory=list)
    response: dict[str, Any] = field(default_factory=dict)
    error: TollbookError | None = None

    @property
    def outcomes(self) -> list[tuple[str, str | None]]:
        return [(attempt.reason, attempt.outcome) for attempt in self.call.attempts]

    @property
    def text(self) -> str:
        return "".join(
            part["text"]
            for item in self.response.get("output") or ()
            if item["type"] == "message"
            for part in item["content"]
        )


class Pipeline:
    """A gateway and what it leaves behind."""

    def __init__(self, gateway: Gateway, exporter: InMemorySpanExporter) -> None:
        self.gateway = gateway
        self._exporter = exporter

    async def ask(
        self, model: str, words: Any = "hi", *, stream: bool = False, caller: Caller = NOBODY, **more: Any
    ) -> Told:
        """One request, answered to its end."""
        request = requests.check({"model": model, "input": words, "stream": stream, **more})
        call = self.gateway.books.begin("create")
        told = Told(call)
        try:
            if not stream:
                told.response = await self.gateway.create(call, request, caller)
                return told
            async with aclosing(self.gateway.stream(call, request, caller).frames) as batches:
                async for frames in batches:
                    told.events += [frame.event for frame in frames]
            told.response = call.response
        except TollbookError as error:
            told.error = error
        return told

    async def row(self, call: Call) -> dict[str, Any]:
        """What the ledger keeps of a call."""
        await self.gateway.books.settle()
        return await self.gateway.books.store.call(call.id, None)

    def spans(self, call: Call) -> list[ReadableSpan]:
        """The finished spans of a call's trace."""
        found = self._exporter.get_finished_spans()
        return [s for s in found if s.context is not None and f"{s.context.trace_id:032x}" == call.trace_id]


@asynccontextmanager
async def pipeline(
    config: Mapping[str, Any], *, folder: Path | None = None, router: Router | None = None
) -> AsyncIterator[Pipeline]:
    """A gateway with this configuration; its books in memory, or in a folder."""
    provider = TracerProvider()
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    books = Books(open_store(folder), PriceBook(), [GuestSpans(provider, Manner())])
    makers = None if folder is None else MakerTable(folder)
    gateway = Gateway(config_from(config, {}), books=books, environment={}, router=router, makers=makers)
    try:
        yield Pipeline(gateway, exporter)
    finally:
        await gateway.close()
        if makers is not None:
            makers.close()
        provider.shutdown()


def model(name: str, target: str, **params: Any) -> dict[str, Any]:
    """An entry of `model_list`. Prices are given so that every attempt can be priced."""
    info = {"id": params.pop("id")} if "id" in params else {}
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    return {"model_name": name, "litellm_params": {"model": target, **prices, **params}, "model_info": info}
