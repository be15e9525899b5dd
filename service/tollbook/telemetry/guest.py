"""Spans as a guest in somebody else's process: into the tracer provider that it has, and none is ever installed.

Here spans are the provider's own and live while the call does, because its sampler and processors want to see them begin.
What they say is what the server's spans say.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tollbook.call import Attempt, Call
from tollbook.version import VERSION

from . import genai, names
from .genai import Manner

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext, Tracer, TracerProvider


class GuestSpans:
    """An `Observer` that makes spans with the given provider, else with the process's own.

    A process that has set one has imported OpenTelemetry's API, so nothing is imported before that; a provider that is set
    later is found by the next call.
    """

    def __init__(self, provider: TracerProvider | None, manner: Manner) -> None:
        self._provider = provider
        self._manner = manner
        self._spans: _Spans | None = None

    def begins(self, call: Call) -> None:
        if self._spans is None and (self._provider is not None or "opentelemetry.trace" in sys.modules):
            from opentelemetry import trace

            # Where none is set yet this is a proxy, which passes on to the one that will be.
            provider = self._provider or trace.get_tracer_provider()
            self._spans = _Spans(provider.get_tracer(names.SCOPE, VERSION, schema_url=names.SCHEMA), self._manner)
        if self._spans is not None:
            self._spans.begins(call)

    def attempt_begins(self, call: Call, attempt: Attempt) -> Mapping[str, str]:
        return self._spans.attempt_begins(call, attempt) if self._spans is not None else {}

    def attempt_ends(self, call: Call, attempt: Attempt) -> None:
        if self._spans is not None:
            self._spans.attempt_ends(call, attempt)

    def ends(self, call: Call) -> None:
        if self._spans is not None:
            self._spans.ends(call)


class _Spans:
    """Spans of a tracer, by call id; never context managers held across a `yield`."""

    def __init__(self, tracer: Tracer, manner: Manner) -> None:
        self._tracer = tracer
        self._manner = manner
        self._calls: dict[str, Span] = {}
        self._attempts: dict[tuple[str, int], Span] = {}

    def begins(self, call: Call) -> None:
        from opentelemetry.trace import SpanKind

        operation = names.OPERATIONS.get(call.operation)
        if operation is None:
            return
        attributes = {names.OPERATION: operation, names.LAYER: "gateway", names.CALL_ID: call.id}
        span = self._tracer.start_span(operation, kind=SpanKind.CLIENT, attributes=attributes, start_time=call.started)
        self._calls[call.id] = span
        context = span.get_span_context()
        if context.is_valid:
            call.trace_id, call.span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"

    def attempt_begins(self, call: Call, attempt: Attempt) -> Mapping[str, str]:
        from opentelemetry.trace import SpanKind, set_span_in_context

        inference = self._calls.get(call.id)
        if inference is None:
            return {}
        parent = set_span_in_context(inference)
        span = self._tracer.start_span("POST", context=parent, kind=SpanKind.CLIENT, start_time=attempt.started)
        self._attempts[call.id, attempt.number] = span
        context = span.get_span_context()
        if not context.is_valid:
            return {}
        attempt.span_id = f"{context.span_id:016x}"
        # W3C Trace Context §3.2: the receiver's parent is this attempt, not the caller's span.
        return {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"}

    def attempt_ends(self, call: Call, attempt: Attempt) -> None:
        from opentelemetry.trace import Status, StatusCode

        span = self._attempts.pop((call.id, attempt.number), None)
        if span is None:
            return
        if span.is_recording():
            span.set_attributes(genai.attempt(attempt))
            if attempt.error_kind:
                span.set_status(Status(StatusCode.ERROR, attempt.error_kind))
        span.end(attempt.ended)

    def ends(self, call: Call) -> None:
        from opentelemetry.trace import Status, StatusCode

        from . import spans

        span = self._calls.pop(call.id, None)
        if span is None:
            return
        for attempt in call.attempts:  # one that could not even be noted, and so was not sent
            self.attempt_ends(call, attempt)
        if span.is_recording():
            create = call.operation == "create"
            if create and call.model:
                span.update_name(f"{names.OPERATIONS['create']} {call.model}")
            span.set_attributes(genai.inference(call, self._manner) if create else genai.fetch(call))
            for event in spans.milestones(call):
                span.add_event(event.name, event.attributes, event.time)
            for link in spans.origin(call):
                span.add_link(_context(link.trace_id, link.span_id), link.attributes)
            if call.outcome in ("failed", "client_disconnected", "rejected"):
                # Never the message: providers quote what they refuse, and a trace holds no prompt.
                span.set_status(Status(StatusCode.ERROR, genai.error_type(call) or call.outcome))
        span.end(call.ended)


def _context(trace_id: str, span_id: str) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
