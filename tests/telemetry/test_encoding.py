"""The encoding says the same as the SDK's, for any span, log record and metric."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from tollbook.telemetry import names
from tollbook.telemetry.declared import SdkRecords, SdkSpans
from tollbook.telemetry.instruments import Instrument
from tollbook.telemetry.meter import Meter
from tollbook.telemetry.otlp import logs, metrics, spans
from tollbook.telemetry.otlp.wire import Envelope, fields
from tollbook.telemetry.records import INFO, WARN, Record
from tollbook.telemetry.spans import CLIENT, SERVER, Event, Link, Span
from tollbook.version import VERSION

RESOURCE = Resource({"service.name": "tollbook", "count": 3}, "https://example.test/schema")
ENVELOPE = Envelope(
    RESOURCE.attributes, names.SCOPE, VERSION, schema=names.SCHEMA, resource_schema="https://example.test/schema"
)

_texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
_values = st.one_of(
    _texts,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(_texts, max_size=3).map(tuple),
)
_attributes = st.dictionaries(_texts.filter(bool), _values, max_size=6)
_trace_ids = st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}")
_span_ids = st.integers(1, 2**64 - 1).map(lambda number: f"{number:016x}")
_times = st.integers(1, 2**62)
_spans = st.builds(
    Span,
    name=_texts.filter(bool),
    kind=st.sampled_from([SERVER, CLIENT]),
    trace_id=_trace_ids,
    span_id=_span_ids,
    parent_id=st.just("") | _span_ids,
    start=_times,
    end=_times,
    attributes=_attributes,
    error=st.none() | _texts,
    events=st.lists(st.builds(Event, _texts.filter(bool), _times, _attributes), max_size=2).map(tuple),
    links=st.lists(st.builds(Link, _trace_ids, _span_ids, _attributes), max_size=2).map(tuple),
    state=st.sampled_from(["", "a=b", "vendor=1,other=2"]),
    remote_parent=st.booleans(),
    dropped=st.just(0),
)


@given(st.lists(_spans, min_size=1, max_size=3))
def test_a_batch_of_spans_is_the_same_message_as_the_sdks(told: list[Span]) -> None:
    told = [span if span.parent_id else span._replace(remote_parent=False) for span in told]
    bridge = SdkSpans(TracerProvider(resource=RESOURCE, shutdown_on_exit=False))
    expected = encode_spans([bridge._readable(span) for span in told])

    request = ENVELOPE.around([spans.encode(span) for span in told])

    assert ExportTraceServiceRequest.FromString(request) == expected


_records = st.builds(
    Record,
    name=_texts.filter(bool),
    time=_times,
    severity=st.sampled_from([INFO, WARN]),
    attributes=st.dictionaries(
        _texts.filter(bool),
        st.recursive(_values, lambda v: st.dictionaries(_texts.filter(bool), v, max_size=2), max_leaves=4),
        max_size=4,
    ),
    body=_texts.filter(bool),
    trace_id=_trace_ids,
    span_id=_span_ids,
    sampled=st.just(True),
)


@given(st.lists(_records, min_size=1, max_size=3))
def test_a_batch_of_log_records_is_the_same_message_as_the_sdks(told: list[Record]) -> None:
    kept = InMemoryLogRecordExporter()
    provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(kept))
    SdkRecords(provider).take(told)
    expected = encode_logs(kept.get_finished_logs())

    request = ENVELOPE.around([logs.encode(record) for record in told])

    assert ExportLogsServiceRequest.FromString(request) == expected


_COUNTER = Instrument("a.counter", "counter", "{call}", "Calls.", ("kind",))
_MONEY = Instrument("a.cost", "counter", "USD", "Money.", ("kind",), scale=10**9)
_SPREAD = Instrument("a.duration", "histogram", "s", "Time.", ("kind", "http.response.status_code"), (0.1, 1.0, 10.0))
_GAUGE = Instrument("a.gauge", "gauge", "By", "Bytes.", ("kind",))
_ALL = [_COUNTER, _MONEY, _SPREAD, _GAUGE]


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "ü"]), st.integers(0, 2**50)), min_size=1, max_size=20),
    st.lists(st.floats(0, 100), min_size=1, max_size=20),
)
def test_a_snapshot_is_told_with_every_sum_and_bucket(counts: list[tuple[str, int]], times: list[float]) -> None:
    meter = Meter(_ALL)
    meter.watch(_GAUGE, lambda: [(("a",), 7)])
    meter.record([(_COUNTER, (kind,), amount) for kind, amount in counts], ("1" * 32, "2" * 16))
    meter.record([(_MONEY, (kind,), amount) for kind, amount in counts])
    meter.record([(_SPREAD, ("a", "200"), seconds) for seconds in times])

    request = ENVELOPE.around(metrics.encode(meter.snapshot(), _ALL, now=meter.since + 1, exemplars_since=0))

    (group,) = ExportMetricsServiceRequest.FromString(request).resource_metrics
    told: dict[str, Metric] = {metric.name: metric for metric in group.scope_metrics[0].metrics}
    assert sum(point.as_int for point in told["a.counter"].sum.data_points) == sum(amount for _, amount in counts)
    assert told["a.counter"].sum.is_monotonic
    assert told["a.counter"].sum.aggregation_temporality == 2
    assert all(point.exemplars[0].trace_id.hex() == "1" * 32 for point in told["a.counter"].sum.data_points)
    by_kind = {kind: sum(a for k, a in counts if k == kind) for kind, _ in counts}
    assert {
        next((a.value.string_value for a in point.attributes), ""): point.as_double
        for point in told["a.cost"].sum.data_points
    } == {kind: amount / 10**9 for kind, amount in by_kind.items()}
    (spread,) = told["a.duration"].histogram.data_points
    assert (spread.count, sum(spread.bucket_counts), len(spread.bucket_counts)) == (len(times), len(times), 4)
    assert list(spread.explicit_bounds) == [0.1, 1.0, 10.0]
    assert spread.bucket_counts[0] == sum(seconds <= 0.1 for seconds in times)
    assert (spread.min, spread.max) == (min(times), max(times))
    assert {a.key: a.value.int_value or a.value.string_value for a in spread.attributes} == {
        "kind": "a",
        "http.response.status_code": 200,
    }
    assert told["a.gauge"].gauge.data_points[0].as_double == 7


def test_half_a_surrogate_pair_and_a_number_of_thirty_digits_are_said_in_the_nearest_words() -> None:
    odd = Span("x", CLIENT, "1" * 32, "2" * 16, "", 1, 2, {"half": "a\ud800b", "long": 10**30})

    request = ExportTraceServiceRequest.FromString(ENVELOPE.around([spans.encode(odd)]))

    told = {a.key: a.value.string_value for a in request.resource_spans[0].scope_spans[0].spans[0].attributes}
    assert told == {"half": "a?b", "long": str(10**30)}


@given(st.binary(max_size=40))
def test_any_bytes_are_fields_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        list(fields(data))
