"""Spans that cost little: plain objects while they live, the SDK's `ReadableSpan` once they end.

The SDK's own span checks every attribute and takes locks, about 60 µs for one with 30 attributes; ours are built by one
thread from typed records. Sampler, limits, processors and exporters stay the SDK's, so that every `OTEL_*` variable means
what it says.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.sampling import Sampler

_random = random.Random()  # noqa: S311 - trace ids are no secrets (W3C Trace Context §7.1 asks for randomness, not secrecy)
os.register_at_fork(after_in_child=_random.seed)

_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status(StatusCode.UNSET)


class CallSpan(trace.Span):
    """One span in the making. Used by one task at a time."""

    __slots__ = ("_attributes", "_context", "_kind", "_links", "_name", "_parent", "_start", "_status", "_tracer")

    def __init__(
        self,
        tracer: CallTracer,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        links: Sequence[Link],
        start: int,
    ) -> None:
        self._tracer: CallTracer | None = tracer
        self._name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._attributes = attributes
        self._links = list(links)
        self._start = start
        self._status = _UNSET

    def get_span_context(self) -> SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return self._tracer is not None and bool(self._context.trace_flags & TraceFlags.SAMPLED)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self._attributes.update(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self._attributes[key] = value

    def update_name(self, name: str) -> None:
        self._name = name

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        self._links.append(Link(context, attributes))

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self._status = status if isinstance(status, Status) else Status(status, description)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Milestones are attributes here; events cost more than they tell."""
        self._attributes[name] = timestamp or time_ns()
        self._attributes.update(attributes or {})

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,  # noqa: ARG002 - OpenTelemetry's signature
        escaped: bool = False,  # noqa: ARG002
    ) -> None:
        self._attributes["exception.type"] = type(exception).__qualname__
        self._attributes.update(attributes or {})

    def end(self, end_time: int | None = None) -> None:
        """Hand the finished span on; ending it twice is ending it once."""
        tracer, self._tracer = self._tracer, None
        if tracer is not None and self._context.trace_flags & TraceFlags.SAMPLED:
            tracer.finished(
                ReadableSpan(
                    name=self._name,
                    context=self._context,
                    parent=self._parent,
                    resource=tracer.resource,
                    attributes=tracer.limited(self._attributes),
                    links=self._links,
                    kind=self._kind,
                    status=self._status,
                    start_time=self._start,
                    end_time=time_ns() if end_time is None else end_time,
                    instrumentation_scope=tracer.scope,
                )
            )


class CallTracer(trace.Tracer):
    """Makes `CallSpan`s; gives the finished ones to one processor."""

    def __init__(
        self, scope: InstrumentationScope, resource: Resource, sampler: Sampler, processor: SpanProcessor
    ) -> None:
        self.scope = scope
        self.resource = resource
        self._sampler = sampler
        self._processor = processor
        limits = SpanLimits()
        self._most = limits.max_span_attributes
        self._longest = limits.max_span_attribute_length

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: ARG002 - OpenTelemetry's signature
        set_status_on_exception: bool = True,  # noqa: ARG002
    ) -> CallSpan:
        parent: SpanContext | None = trace.get_current_span(context).get_span_context()
        if parent is None or not parent.is_valid:
            parent, trace_id, state = None, _random.getrandbits(128) or 1, None
        else:
            trace_id, state = parent.trace_id, parent.trace_state
        found = dict(attributes or {})
        decision = self._sampler.should_sample(context, trace_id, name, kind, found, links or ())
        flags = _SAMPLED if decision.decision is Decision.RECORD_AND_SAMPLE else _NOT_SAMPLED
        if decision.attributes:
            found.update(decision.attributes)
        made = SpanContext(trace_id, _random.getrandbits(64) or 1, False, flags, decision.trace_state or state)
        return CallSpan(
            self, name, made, parent, kind, found, links or (), time_ns() if start_time is None else start_time
        )

    def start_as_current_span(self, *arguments: Any, **settings: Any) -> Any:
        """A span that lives in the context of a `with` block; calls never use it, they outlive their blocks."""
        return trace.use_span(self.start_span(*arguments, **settings), end_on_exit=True)

    def finished(self, span: ReadableSpan) -> None:
        """Give it on."""
        self._processor.on_end(span)

    def limited(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Within `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT` and `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`."""
        if self._longest is not None:
            attributes = {k: v[: self._longest] if isinstance(v, str) else v for k, v in attributes.items()}
        if self._most is not None and len(attributes) > self._most:
            attributes = dict(list(attributes.items())[: self._most])
        return attributes
