"""Spans -> OTLP protobuf, written directly.

The SDK's exporter builds a message object for every attribute, about 200 µs for a span; this writes the same bytes in a
tenth. Field numbers: https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
(trace.proto, common.proto, resource.proto; protobuf encoding: https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext, StatusCode

_KINDS = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_STATUS = {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}
_HAS_REMOTE, _IS_REMOTE = 0x100, 0x200  # SpanFlags: bits 8 and 9 say whether the parent is known to be remote, and is

LARGEST = 3 * 1024 * 1024
"""Bytes of one request: collectors refuse more than 4 MiB over gRPC, and some proxies over HTTP."""


class SpanExporter(OTLPSpanExporter):
    """The SDK's exporter over HTTP - endpoint, headers, compression, retries - with this encoding, in pieces of at most
    LARGEST bytes."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._shutdown:
            return SpanExportResult.FAILURE
        outcome = SpanExportResult.SUCCESS
        with self._metrics.export_operation(len(spans)) as result:
            for request in requests(spans):
                answer = self._client.export(request)
                if not answer.success:
                    result.error = answer.error
                    outcome = SpanExportResult.FAILURE
        return outcome


def requests(spans: Sequence[ReadableSpan], largest: int = LARGEST) -> list[bytes]:
    """ExportTraceServiceRequests, each below `largest` bytes unless a single span is above it."""
    found: list[bytes] = []
    held: list[bytes] = []
    size = 0
    for span in spans:
        encoded = _message(2, encode(span))
        if held and size + len(encoded) > largest:
            found.append(_request(spans[0], held))
            held, size = [], 0
        held.append(encoded)
        size += len(encoded)
    if held:
        found.append(_request(spans[0], held))
    return found


def _request(sample: ReadableSpan, spans: list[bytes]) -> bytes:
    """Spans of one process share their resource and scope."""
    scope = sample.instrumentation_scope
    named = b"" if scope is None else _message(1, _text(1, scope.name) + _text(2, scope.version or ""))
    schema = _text(3, scope.schema_url or "") if scope is not None else b""
    scope_spans = named + b"".join(spans) + schema
    resource = _message(1, _attributes(1, sample.resource.attributes))
    return _message(1, resource + _message(2, scope_spans) + _text(3, sample.resource.schema_url or ""))


def encode(span: ReadableSpan) -> bytes:
    """One `Span` message."""
    context, parent = span.context, span.parent
    assert context is not None
    parts = [
        b"\x0a\x10",
        context.trace_id.to_bytes(16, "big"),
        b"\x12\x08",
        context.span_id.to_bytes(8, "big"),
        _text(3, context.trace_state.to_header() if context.trace_state else ""),
    ]
    if parent is not None:
        parts += (b"\x22\x08", parent.span_id.to_bytes(8, "big"))
    parts += (
        _text(5, span.name),
        b"\x30" + _varint(_KINDS[span.kind.name]),
        b"\x39" + struct.pack("<Q", span.start_time or 0),
        b"\x41" + struct.pack("<Q", span.end_time or 0),
        _attributes(9, span.attributes or {}),
    )
    for link in span.links:
        parts.append(_message(13, _link(link.context, link.attributes or {})))
    code = _STATUS[span.status.status_code]
    parts.append(_message(15, _text(2, span.status.description or "") + (b"\x18" + _varint(code) if code else b"")))
    remote = _HAS_REMOTE | (_IS_REMOTE if parent is not None and parent.is_remote else 0)
    parts.append(b"\x85\x01" + struct.pack("<I", remote))
    return b"".join(parts)


def _link(context: SpanContext, attributes: Mapping[str, Any]) -> bytes:
    remote = _HAS_REMOTE | (_IS_REMOTE if context.is_remote else 0)
    return b"".join(
        (
            b"\x0a\x10",
            context.trace_id.to_bytes(16, "big"),
            b"\x12\x08",
            context.span_id.to_bytes(8, "big"),
            _attributes(4, attributes),
            b"\x35" + struct.pack("<I", remote),
        )
    )


def _attributes(number: int, attributes: Mapping[str, Any]) -> bytes:
    tag = _varint(number << 3 | 2)
    parts: list[bytes] = []
    for name, value in attributes.items():
        key = _keys.get(name)
        if key is None:
            key = _text(1, name)
            if len(_keys) < 1000:
                _keys[name] = key
        any_value = _value(value)
        body = key + b"\x12" + _varint(len(any_value)) + any_value
        parts += (tag, _varint(len(body)), body)
    return b"".join(parts)


_keys: dict[str, bytes] = {}


def _value(value: Any) -> bytes:
    """An `AnyValue`."""
    if isinstance(value, str):
        raw = value.encode("utf-8", "replace")
        return b"\x0a" + _varint(len(raw)) + raw
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + _varint(value & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, float):
        return b"\x21" + struct.pack("<d", value)
    if isinstance(value, bytes):
        return _message(7, value)
    if isinstance(value, (list, tuple)):
        return _message(5, b"".join(_message(1, _value(one)) for one in value))
    return _value(str(value))


def _text(number: int, text: str) -> bytes:
    if not text:
        return b""
    return _message(number, text.encode("utf-8", "replace"))


def _message(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    if number < 0x80:
        return _BYTES[number]
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


_BYTES = [bytes((number,)) for number in range(0x80)]
