"""A collector: a real HTTP server that takes OTLP, decodes it, and can be ill in the usual ways."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

SERVER, CLIENT = 2, 3
ERROR = 2


@dataclass(frozen=True)
class Span:
    """A span as it was received; ids in hex."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: tuple[tuple[str, str, dict[str, Any]], ...]
    """Trace id, span id and attributes of each."""
    status: int
    start: int
    end: int
    events: tuple[tuple[str, int, dict[str, Any]], ...] = ()
    """Name, time and attributes of each."""
    state: str = ""


@dataclass(frozen=True)
class Record:
    """A log record as it was received."""

    name: str
    severity: int
    body: Any
    attributes: dict[str, Any]
    trace_id: str
    span_id: str


@dataclass
class Collector:
    """`mood`: takes everything, answers 503, or accepts and never answers. `status` may answer otherwise for a body."""

    mood: Literal["well", "refuses", "hangs"] = "well"
    raw: list[bytes] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    """The newest state of each metric, as its message."""
    resources: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    status: Callable[[bytes], int] | None = None
    heard: threading.Condition = field(default_factory=threading.Condition)
    closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if collector.mood == "hangs":
                    collector.closing.wait(60)
                    return
                if collector.mood == "refuses":
                    self.send_response(503)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                collector.requests += 1
                status = collector.status(body) if collector.status is not None else 200
                if status != 200:
                    self.send_response(status)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                collector.take(body, self.path)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class calls it so
                """Nothing: pytest shows what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """What makes a gateway send its traces here, soon."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "OTEL_BLRP_SCHEDULE_DELAY": "20",
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
        }

    def take(self, body: bytes, path: str = "/v1/traces") -> None:
        with self.heard:
            self.raw.append(body)
            if path == "/v1/metrics":
                for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    self.metrics |= {each.name: each for scope in group.scope_metrics for each in scope.metrics}
            elif path == "/v1/logs":
                for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                    self.records += [_record(each) for scope in logs.scope_logs for each in scope.log_records]
            else:
                for traces in ExportTraceServiceRequest.FromString(body).resource_spans:
                    self.resources.append(_attributes(traces.resource.attributes))
                    self.spans += [_span(span) for scope in traces.scope_spans for span in scope.spans]
            self.heard.notify_all()

    def until(self, look: Callable[[], Any], *, seconds: float = 10.0) -> Any:
        """The first true answer of `look`, which is asked after everything that is heard."""
        end = time.monotonic() + seconds
        with self.heard:
            while not (found := look()):
                if not self.heard.wait(end - time.monotonic()):
                    raise AssertionError(f"the collector did not hear it within {seconds:g} s")
            return found

    def trace(self, trace_id: str, *, seconds: float = 10.0) -> list[Span]:
        """All spans of a trace, once its SERVER span and every span's parent are in.

        The SERVER span ends last, unless the client left: then the call is booked behind its back.
        """
        end = time.monotonic() + seconds
        with self.heard:
            while True:
                found = [span for span in self.spans if span.trace_id == trace_id]
                known = {span.span_id for span in found}
                whole = all(span.kind == SERVER or span.parent_id in known for span in found)
                if whole and any(span.kind == SERVER for span in found):
                    return found
                if not self.heard.wait(end - time.monotonic()):
                    raise AssertionError(f"no SERVER span of trace {trace_id} within {seconds:g} s, but {found}")


def _span(span: Any) -> Span:
    return Span(
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        links=tuple((link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes)) for link in span.links),
        status=span.status.code,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        events=tuple((each.name, each.time_unix_nano, _attributes(each.attributes)) for each in span.events),
        state=span.trace_state,
    )


def _record(record: Any) -> Record:
    return Record(
        name=record.event_name,
        severity=record.severity_number,
        body=_value(record.body),
        attributes=_attributes(record.attributes),
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
    )


def points(metric: Any) -> list[tuple[dict[str, Any], Any]]:
    """The points of a metric with their labels."""
    data = getattr(metric, metric.WhichOneof("data"))
    return [(_attributes(point.attributes), point) for point in data.data_points]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(inner) for inner in value.array_value.values)
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind) if kind else None
