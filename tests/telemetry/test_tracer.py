"""Light spans: what reaches the processor, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags

from tollbook.telemetry.tracer import CallTracer


class Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def _tracer(sampler: Sampler = ALWAYS_ON) -> tuple[CallTracer, list[ReadableSpan]]:
    kept = Kept()
    return CallTracer(InstrumentationScope("tollbook"), Resource({}), sampler, kept), kept.spans


def test_a_child_shares_the_trace_and_names_its_parent() -> None:
    tracer, ended = _tracer()
    parent = tracer.start_span("parent", start_time=1)
    child = tracer.start_span("child", context=trace.set_span_in_context(parent), start_time=2)
    child.end(3)
    parent.end(4)

    inner, outer = ended

    assert inner.context
    assert outer.context
    assert inner.parent
    assert inner.context.trace_id == outer.context.trace_id
    assert inner.parent.span_id == outer.context.span_id
    assert outer.parent is None
    assert (inner.start_time, inner.end_time) == (2, 3)


def test_a_span_that_ends_twice_is_told_once() -> None:
    tracer, ended = _tracer()
    span = tracer.start_span("once")
    span.end()
    span.end()

    assert len(ended) == 1


def test_what_is_not_sampled_is_not_told_and_its_context_says_so() -> None:
    tracer, ended = _tracer(ALWAYS_OFF)
    span = tracer.start_span("never")
    span.end()

    assert ended == []
    assert not span.is_recording()
    assert span.get_span_context().trace_flags == TraceFlags.DEFAULT


def test_the_callers_decision_to_sample_is_followed() -> None:
    remote = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(0))
    tracer, ended = _tracer(ParentBased(ALWAYS_ON))
    tracer.start_span("child", context=trace.set_span_in_context(NonRecordingSpan(remote))).end()

    assert ended == []


def test_attributes_links_name_and_status_are_those_at_the_end() -> None:
    tracer, ended = _tracer()
    span = tracer.start_span("first", attributes={"a": 1})
    span.set_attributes({"a": 2, "b": "x"})
    span.update_name("second")
    span.add_link(SpanContext(1, 2, is_remote=True), {"c": True})
    span.set_status(StatusCode.ERROR, "why")
    span.end()

    (told,) = ended

    assert told.name == "second"
    assert dict(told.attributes or {}) == {"a": 2, "b": "x"}
    assert told.links[0].context.span_id == 2
    assert (told.status.status_code, told.status.description) == (StatusCode.ERROR, "why")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "2", {"a": "xx", "b": 7}),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1", {"a": "xxx"}),
    ],
)
def test_limits_of_the_environment_hold(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: dict[str, Any]
) -> None:
    monkeypatch.setenv(variable, value)
    tracer, ended = _tracer()
    tracer.start_span("limited", attributes={"a": "xxx", "b": 7}).end()

    assert dict(ended[0].attributes or {}) == expected
