"""Calls -> spans: SERVER -> inference -> one CLIENT span per attempt.

Spans are objects kept here by call id, never context managers held across a `yield`: a client that hangs up at any event
leaves finished spans. Only the SERVER span is known to the context, because the route handler runs inside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from tollbook.call import Attempt, Call

from . import genai, names

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer


@dataclass(slots=True)
class Serving:
    """The HTTP request that is being served in this context."""

    span: Span
    call: Call | None = None


serving: ContextVar[Serving | None] = ContextVar("tollbook_serving", default=None)


class SpanObserver:
    """An `Observer` that makes spans with the given tracer. `cost_attributes` are further names for the cost."""

    def __init__(self, tracer: Tracer, cost_attributes: tuple[str, ...]) -> None:
        self.tracer = tracer
        self._cost_attributes = cost_attributes
        self._spans: dict[str, Span] = {}
        self._attempts: dict[tuple[str, int], Span] = {}

    def begins(self, call: Call) -> None:
        request = serving.get()
        parent = None
        if request is not None:
            request.call = call
            parent = trace.set_span_in_context(request.span)
        if call.operation in names.OPERATIONS:
            span = self.tracer.start_span(
                names.OPERATIONS[call.operation],
                context=parent,
                kind=SpanKind.CLIENT,
                attributes=genai.at_start(call),
                start_time=call.started,
            )
            self._spans[call.id] = span
        elif request is not None:
            span = request.span
        else:
            return
        context = span.get_span_context()
        if context.is_valid:
            call.trace_id, call.span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"

    def attempt_begins(self, call: Call, attempt: Attempt) -> Mapping[str, str]:
        inference = self._spans.get(call.id)
        if inference is None:
            return {}
        span = self.tracer.start_span(
            "POST", context=trace.set_span_in_context(inference), kind=SpanKind.CLIENT, start_time=attempt.started
        )
        self._attempts[call.id, attempt.number] = span
        context = span.get_span_context()
        attempt.span_id = f"{context.span_id:016x}"
        if not context.is_valid:
            return {}
        # W3C Trace Context §3.2: the receiver's parent is this attempt, not the caller's span.
        return {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"}

    def attempt_ends(self, call: Call, attempt: Attempt) -> None:
        span = self._attempts.pop((call.id, attempt.number), None)
        if span is None:
            return
        if span.is_recording():
            span.set_attributes(genai.attempt(attempt))
            if attempt.error_kind:
                span.set_status(Status(StatusCode.ERROR, attempt.error_kind))
        span.end(attempt.ended)

    def ends(self, call: Call) -> None:
        span = self._spans.pop(call.id, None)
        if span is None:
            return
        if span.is_recording():
            create = call.operation == "create"
            if create and call.model:
                span.update_name(f"{names.OPERATIONS['create']} {call.model}")
            span.set_attributes(genai.inference(call, self._cost_attributes) if create else genai.fetch(call))
            if call.parent_span is not None and all(call.parent_span):
                span.add_link(_context(*call.parent_span), {names.RESPONSE_ID: _linked(call)})
            if call.outcome in ("failed", "client_disconnected", "rejected"):
                # Never the message: providers quote what they refuse, and a trace holds no prompt.
                span.set_status(Status(StatusCode.ERROR, genai.error_type(call) or call.outcome))
        span.end(call.ended)


def _linked(call: Call) -> str:
    return (call.previous_response_id if call.operation == "create" else call.response_id) or ""


def _context(trace_id: str, span_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
