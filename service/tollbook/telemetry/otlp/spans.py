"""A span as a `Span` message."""

from __future__ import annotations

from tollbook.telemetry.spans import Event, Link, Span

from .wire import attributes, fixed32, fixed64, message, text, varint

_HAS_REMOTE, _IS_REMOTE = 0x100, 0x200  # SpanFlags: bits 8 and 9 say whether the parent is known to be remote, and is
_ERROR = 2


def encode(span: Span) -> bytes:
    """One `Span` message."""
    parts = [
        b"\x0a\x10",
        bytes.fromhex(span.trace_id),
        b"\x12\x08",
        bytes.fromhex(span.span_id),
        text(3, span.state),
    ]
    if span.parent_id:
        parts += (b"\x22\x08", bytes.fromhex(span.parent_id))
    parts += (
        text(5, span.name),
        b"\x30" + varint(span.kind),
        b"\x39" + fixed64(span.start),
        b"\x41" + fixed64(span.end),
        attributes(9, span.attributes),
    )
    if span.dropped:
        parts.append(b"\x50" + varint(span.dropped))
    parts += [message(11, _event(event)) for event in span.events]
    parts += [message(13, _link(link)) for link in span.links]
    parts.append(message(15, b"" if span.error is None else text(2, span.error) + b"\x18" + varint(_ERROR)))
    parts.append(b"\x85\x01" + fixed32(_HAS_REMOTE | (_IS_REMOTE if span.remote_parent else 0)))
    return b"".join(parts)


def _event(event: Event) -> bytes:
    return b"\x09" + fixed64(event.time) + text(2, event.name) + attributes(3, event.attributes)


def _link(link: Link) -> bytes:
    return b"".join(
        (
            b"\x0a\x10",
            bytes.fromhex(link.trace_id),
            b"\x12\x08",
            bytes.fromhex(link.span_id),
            attributes(4, link.attributes),
            # Whoever is linked to was made by another request, maybe by another process.
            b"\x35" + fixed32(_HAS_REMOTE | _IS_REMOTE),
        )
    )
