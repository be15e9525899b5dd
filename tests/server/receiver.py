"""A collector of traces: a real HTTP server that takes OTLP, decodes it, and can be ill in the usual ways."""

from __future__ import annotations

import gzip
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

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


@dataclass
class Collector:
    """`mood`: takes everything, answers 503, or accepts and never answers."""

    mood: Literal["well", "refuses", "hangs"] = "well"
    raw: list[bytes] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
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
                collector.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
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
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "20"}

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.heard:
            self.raw.append(body)
            for group in request.resource_spans:
                self.resources.append(_attributes(group.resource.attributes))
                self.spans += [_span(span) for scope in group.scope_spans for span in scope.spans]
            self.heard.notify_all()

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
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(inner) for inner in value.array_value.values)
    return getattr(value, kind) if kind else None
