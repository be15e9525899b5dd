"""OTLP over gRPC, the extra: the same spans reach a collector that speaks it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from tollbook.config import TelemetrySettings
from tollbook.telemetry import setup


class Collector(TraceServiceServicer):
    def __init__(self) -> None:
        self.requests: Queue[ExportTraceServiceRequest] = Queue()

    def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:
        self.requests.put(request)
        return ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    server = grpc.server(ThreadPoolExecutor(1))
    service = Collector()
    add_TraceServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield service, f"http://127.0.0.1:{port}"
    server.stop(None)


def test_a_span_arrives_over_grpc_when_the_environment_says_so(
    collector: tuple[Collector, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, address = collector
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    started = setup.tracing(TelemetrySettings(), environment)
    assert started is not None
    tracer, processor = started
    tracer.start_span("hello", attributes={"tollbook.attempts": 2}).end()
    setup.stop(processor)

    request = service.requests.get(timeout=5)
    (span,) = request.resource_spans[0].scope_spans[0].spans
    assert span.name == "hello"
    assert span.attributes[0].value.int_value == 2
    resource = {a.key: a.value.string_value for a in request.resource_spans[0].resource.attributes}
    assert resource["service.name"] == "tollbook"
