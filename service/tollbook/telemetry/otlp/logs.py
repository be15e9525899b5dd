"""A log record as a `LogRecord` message."""

from __future__ import annotations

from tollbook.telemetry.records import Record

from .wire import any_value, attributes, fixed32, fixed64, message, text, varint


def encode(record: Record) -> bytes:
    """One `LogRecord` message."""
    parts = [
        b"\x09" + fixed64(record.time),
        b"\x10" + varint(record.severity),
        text(3, record.severity_text),
    ]
    if record.body is not None:
        parts.append(message(5, any_value(record.body)))
    parts.append(attributes(6, record.attributes))
    if record.sampled:
        parts.append(b"\x45" + fixed32(1))
    if record.trace_id:
        parts.append(message(9, bytes.fromhex(record.trace_id)))
        parts.append(message(10, bytes.fromhex(record.span_id)))
    parts += (b"\x59" + fixed64(record.time), text(12, record.name))
    return b"".join(parts)
