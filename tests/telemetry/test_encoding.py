"""The encoding says the same as the SDK's, for any span."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from tollbook.telemetry import otlp

_texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
_values = st.one_of(
    _texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(_texts, max_size=3).map(tuple),
)
_attributes = st.dictionaries(_texts.filter(bool), _values, max_size=6)
_contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.just(TraceFlags(1)),
    st.sampled_from([TraceState(), TraceState([("a", "b")])]),
)
_statuses = st.sampled_from([Status(), Status(StatusCode.OK), Status(StatusCode.ERROR, "no"), Status(StatusCode.ERROR)])
_spans = st.builds(
    ReadableSpan,
    name=_texts.filter(bool),
    context=_contexts,
    parent=st.none() | _contexts,
    resource=st.just(Resource({"service.name": "tollbook"}, "https://example.test/schema")),
    attributes=_attributes,
    links=st.lists(st.builds(Link, _contexts, _attributes), max_size=2),
    kind=st.sampled_from(list(SpanKind)),
    status=_statuses,
    start_time=st.integers(1, 2**63),
    end_time=st.integers(1, 2**63),
    instrumentation_scope=st.just(InstrumentationScope("tollbook", "1", "https://example.test/1")),
)


@given(st.lists(_spans, min_size=1, max_size=3))
def test_a_batch_is_the_same_message_as_the_sdks(spans: list[ReadableSpan]) -> None:
    expected = encode_spans(spans)

    (request,) = otlp.requests(spans)

    assert ExportTraceServiceRequest.FromString(request) == expected


@given(st.lists(_spans, min_size=2, max_size=6))
def test_pieces_hold_every_span_once_and_in_order(spans: list[ReadableSpan]) -> None:
    pieces = [ExportTraceServiceRequest.FromString(piece) for piece in otlp.requests(spans, largest=200)]

    found = [s.span_id for p in pieces for s in p.resource_spans[0].scope_spans[0].spans]

    assert found == [s.context.span_id.to_bytes(8, "big") for s in spans if s.context]
