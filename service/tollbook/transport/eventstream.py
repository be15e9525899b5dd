"""AWS event streams: bytes cut anywhere -> frames.

https://smithy.io/2.0/aws/amazon-eventstream.html (vnd.amazon.eventstream). All numbers are big-endian:

    total length (4) | headers length (4) | CRC32 of these eight bytes (4) | headers | payload | CRC32 of all before (4)

A header is a length byte and its name, then a type byte and its value.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from zlib import crc32

from .frame import Frame
from .wire import decode

LARGEST_MESSAGE = 24 * 1024 * 1024
"""A message larger than this (bytes) is refused: the specification allows 16 MiB of payload and 128 KiB of headers."""

LARGEST_HEADERS = 128 * 1024

_PRELUDE = struct.Struct(">III")
_LENGTH = struct.Struct(">H")
_NUMBER = struct.Struct(">I")
_SMALLEST = _PRELUDE.size + _NUMBER.size

# Header value types with a fixed size: true, false, byte, short, integer, long, timestamp, uuid.
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES, _STRING = 6, 7


class EventStreamDecoder:
    """Feed it chunks as they arrive; it yields a frame for each message as soon as its last byte is in.

    The type of a frame is the message's `:event-type`. A message that says the stream failed becomes a frame of type
    "exception" whose event is `{"type": <its exception type or error code>, "message": ..., ...}`. The chunks of
    InvokeModelWithResponseStream are unwrapped: the frame is the model's own JSON, its type that JSON's `type`.

    `feed` raises ValueError for a wrong checksum, a message larger than LARGEST_MESSAGE and anything else that is no
    message; what follows cannot be trusted then.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        buffer = self._buffer
        buffer += chunk
        while len(buffer) >= _PRELUDE.size:
            total, headers, checksum = _PRELUDE.unpack_from(buffer)
            # The prelude is proved before its lengths are believed: otherwise noise would be waited for.
            if crc32(buffer[:8]) != checksum:
                raise ValueError("an event stream message has a wrong prelude checksum")
            if total > LARGEST_MESSAGE or headers > LARGEST_HEADERS or total < headers + _SMALLEST:
                raise ValueError(f"an event stream message has impossible lengths: {total} bytes, {headers} of headers")
            if len(buffer) < total:
                return
            message = bytes(buffer[:total])
            del buffer[:total]
            if crc32(message[:-4]) != _NUMBER.unpack_from(message, total - 4)[0]:
                raise ValueError("an event stream message has a wrong checksum")
            start = _PRELUDE.size + headers
            yield _frame(_headers(message[_PRELUDE.size : start]), message[start:-4])

    def flush(self) -> Iterator[Frame]:
        """Nothing: a message that was cut cannot be proved. Whether the answer was complete without it, its reader knows."""
        self._buffer.clear()
        return iter(())


@lru_cache(maxsize=32)  # the same few blocks of headers come over and over
def _headers(data: bytes) -> Mapping[str, str]:
    """The text headers by name; of the others only the sizes matter, to get past them."""
    found: dict[str, str] = {}
    position = 0
    try:
        while position < len(data):
            end = position + 1 + data[position]
            name, kind = data[position + 1 : end], data[end]
            position = end + 1
            if kind in (_STRING, _BYTES):
                (size,) = _LENGTH.unpack_from(data, position)
                position += 2
            else:
                size = _SIZES[kind]
            value = data[position : position + size]
            position += size
            if kind == _STRING:
                found[name.decode()] = value.decode()
    except (IndexError, KeyError, UnicodeDecodeError, struct.error):
        position = -1
    if position != len(data):
        raise ValueError("an event stream message has malformed headers")
    return found


def _frame(headers: Mapping[str, str], payload: bytes) -> Frame:
    kind = headers.get(":message-type", "event")
    if kind == "exception":
        return _failure(headers.get(":exception-type", ""), payload, "")
    if kind == "error":
        return _failure(headers.get(":error-code", ""), payload, headers.get(":error-message", ""))
    name = headers.get(":event-type", "")
    return _unwrapped(payload) if name == "chunk" else Frame(name, payload)


def _failure(kind: str, payload: bytes, message: str) -> Frame:
    try:
        told = decode(payload or b"null")
    except ValueError:
        told = payload.decode("utf-8", "replace")
    event: dict[str, Any] = told if isinstance(told, dict) else {"message": told} if isinstance(told, str) else {}
    return Frame("exception", event={**event, "type": kind, "message": event.get("message") or message})


def _unwrapped(payload: bytes) -> Frame:
    """A chunk of InvokeModelWithResponseStream: `{"bytes": <base64 of the model's own JSON>}`."""
    told = decode(payload)
    wrapped = told.get("bytes") if isinstance(told, dict) else None
    if not isinstance(wrapped, str):
        return Frame("chunk", payload)
    try:
        raw = base64.b64decode(wrapped, validate=True)
    except binascii.Error as error:
        raise ValueError(f"an event stream chunk is not base64: {error}") from None
    event = decode(raw)
    name = event.get("type") if isinstance(event, dict) else None
    return Frame(name if isinstance(name, str) else "", raw, event)
