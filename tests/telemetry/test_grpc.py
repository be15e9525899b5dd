"""OTLP over gRPC, the extra: all three signals reach a collector that speaks it, and its refusals are understood."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tollbook.config import TelemetrySettings
from tollbook.telemetry import environment as env
from tollbook.telemetry import probe
from tollbook.telemetry.collector import GrpcCollector


@dataclass
class Receiver:
    """What it got, and what it answers instead of taking it."""

    url: str = ""
    got: list[Any] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    refusal: tuple[grpc.StatusCode, str] | None = None
    rejected: int = 0

    def take(self, request: Any, context: Any) -> None:
        self.metadata = dict(context.invocation_metadata())
        if self.refusal is not None:
            context.abort(*self.refusal)
        self.got.append(request)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Traces(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            found.take(request, context)
            part = trace_service_pb2.ExportTracePartialSuccess(rejected_spans=found.rejected, error_message="why")
            return trace_service_pb2.ExportTraceServiceResponse(partial_success=part)

    class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            found.take(request, context)
            return metrics_service_pb2.ExportMetricsServiceResponse()

    class Logs(logs_service_pb2_grpc.LogsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            found.take(request, context)
            return logs_service_pb2.ExportLogsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.max_receive_message_length", 100_000)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Logs(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    found.url = f"http://127.0.0.1:{port}"
    yield found
    server.stop(None).wait(5)


def environment(receiver: Receiver) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-team=search",
    }


def test_all_three_signals_arrive_over_grpc(receiver: Receiver) -> None:
    probes = probe.run(TelemetrySettings(), environment(receiver))

    assert [each.answer.state for each in probes if each.answer] == ["taken"] * 3
    assert [type(request).__name__ for request in receiver.got] == [
        "ExportTraceServiceRequest",
        "ExportMetricsServiceRequest",
        "ExportLogsServiceRequest",
    ]
    assert receiver.metadata["x-team"] == "search"
    assert receiver.metadata["user-agent"].startswith("Tollbook-OTLP/")
    (span,) = receiver.got[0].resource_spans[0].scope_spans[0].spans
    assert span.name == "tollbook doctor"


@pytest.mark.parametrize(
    ("code", "detail", "state"),
    [
        (grpc.StatusCode.UNAVAILABLE, "", "later"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", "later"),
        (grpc.StatusCode.INVALID_ARGUMENT, "bad span", "refused"),
        (grpc.StatusCode.UNAUTHENTICATED, "who", "closed"),
        (grpc.StatusCode.UNIMPLEMENTED, "", "closed"),
    ],
)
def test_refusals_are_told_apart(receiver: Receiver, code: grpc.StatusCode, detail: str, state: str) -> None:
    receiver.refusal = (code, detail)
    place = GrpcCollector(env.read(environment(receiver), TelemetrySettings()).targets["traces"])

    answer = place.send(b"")
    place.close()

    assert answer.state == state
    assert code.name in answer.said


def test_a_message_that_is_too_large_is_refused_so_that_it_is_halved(receiver: Receiver) -> None:
    place = GrpcCollector(env.read(environment(receiver), TelemetrySettings()).targets["traces"])

    answer = place.send(b"\x0a\x83\x80\x10" + b"x" * 262_147)
    place.close()

    assert answer.state == "refused"


def test_partial_success_says_how_many_and_why(receiver: Receiver) -> None:
    receiver.rejected = 3
    place = GrpcCollector(env.read(environment(receiver), TelemetrySettings()).targets["traces"])

    answer = place.send(b"")
    place.close()

    assert (answer.state, answer.rejected, answer.said) == ("taken", 3, "OK, 3 rejected: why")


def test_nobody_there_is_later() -> None:
    found = env.read(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        TelemetrySettings(),
    )
    place = GrpcCollector(found.targets["traces"])

    assert place.send(b"").state == "later"
    place.close()
