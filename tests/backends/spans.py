"""Traces as the gateway sends them, made to order."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

_RESOURCE = Resource({"service.name": "tollbook", "service.instance.id": "made", "service.version": "0.1.0"})
_SCOPE = InstrumentationScope("tollbook")
Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Trace:
    """SERVER → chat → one POST, over `seconds`. `facts` are the attributes of the middle one."""

    facts: Mapping[str, Value] = field(default_factory=dict)
    error: bool = False
    seconds: float = 1.0
    id: int = field(default_factory=lambda: secrets.randbits(128))

    @property
    def hex(self) -> str:
        return f"{self.id:032x}"

    def spans(self) -> list[ReadableSpan]:
        status = Status(StatusCode.ERROR, "server") if self.error else Status()
        server = self._span("POST /v1/responses", SpanKind.SERVER, None, {"http.route": "/v1/responses"})
        facts = {"gen_ai.operation.name": "chat", "tollbook.attempts": 1, "tollbook.cost.status": "priced"}
        chat = self._span("chat made", SpanKind.CLIENT, server.context, {**facts, **self.facts}, status)
        return [self._span("POST", SpanKind.CLIENT, chat.context, {"tollbook.attempt.number": 1}), chat, server]

    def _span(
        self,
        name: str,
        kind: SpanKind,
        parent: SpanContext | None,
        attributes: Mapping[str, Value],
        status: Status | None = None,
    ) -> ReadableSpan:
        end = time.time_ns()
        context = SpanContext(self.id, secrets.randbits(64), is_remote=False, trace_flags=TraceFlags(1))
        return ReadableSpan(
            name=name,
            context=context,
            parent=parent,
            resource=_RESOURCE,
            attributes=attributes,
            kind=kind,
            status=status or Status(),
            start_time=end - int(self.seconds * 1e9),
            end_time=end,
            instrumentation_scope=_SCOPE,
        )


def request(*traces: Trace) -> bytes:
    """One OTLP request with all of them."""
    return encode_spans([span for trace in traces for span in trace.spans()]).SerializeToString()
