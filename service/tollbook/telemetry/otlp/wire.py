"""The pieces that all three signals are made of: varints, texts, attributes, and the envelope around items of one kind."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_double = struct.Struct("<d").pack
fixed64 = struct.Struct("<Q").pack
fixed32 = struct.Struct("<I").pack

_BYTES = [bytes((number,)) for number in range(0x80)]

Value = str | int | float | bool | bytes | None | Sequence[Any] | Mapping[str, Any]
"""What an attribute may hold; a mapping is for log records, whose backends take structure."""


def varint(number: int) -> bytes:
    """A number from 0 on."""
    if number < 0x80:
        return _BYTES[number]
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def message(number: int, body: bytes) -> bytes:
    """A field that holds bytes, a text or a message."""
    return varint(number << 3 | 2) + varint(len(body)) + body


def text(number: int, content: str) -> bytes:
    """A text; nothing for an empty one. Half a surrogate pair, which UTF-8 cannot say, becomes a question mark."""
    return message(number, content.encode("utf-8", "replace")) if content else b""


def attributes(number: int, pairs: Mapping[str, Any]) -> bytes:
    """A `KeyValue` for each pair."""
    tag = varint(number << 3 | 2)
    parts: list[bytes] = []
    for name, value in pairs.items():
        kind = type(value)
        if kind is str:
            known = _texts.get((name, value))
            if known is None:
                known = _pair(name, value)
                if len(value) <= _SHORT:
                    _remember(_texts, (name, value), known)
        elif kind is int:
            known = _numbers.get((name, value))
            if known is None:
                known = _pair(name, value)
                if -1 <= value < _SMALL:
                    _remember(_numbers, (name, value), known)
        else:
            known = _pair(name, value)
        parts += (tag, known)
    return b"".join(parts)


# Most attributes say the same in every span: names of models and places, ports, statuses. Texts and numbers are kept apart,
# because 1 and True are one key.
_SHORT, _SMALL, _MOST_PAIRS = 24, 70_000, 8192
_texts: dict[tuple[str, str], bytes] = {}
_numbers: dict[tuple[str, int], bytes] = {}
_keys: dict[str, bytes] = {}


def _remember(known: dict[Any, bytes], key: Any, encoded: bytes) -> None:
    if len(known) >= _MOST_PAIRS:
        known.clear()
    known[key] = encoded


def _pair(name: str, value: Any) -> bytes:
    """A `KeyValue` with its length before it."""
    key = _keys.get(name)
    if key is None:
        key = text(1, name)
        _remember(_keys, name, key)
    content = any_value(value)
    body = key + b"\x12" + varint(len(content)) + content
    return varint(len(body)) + body


def any_value(value: Any) -> bytes:
    """An `AnyValue`."""
    if isinstance(value, str):
        raw = value.encode("utf-8", "replace")
        return b"\x0a" + varint(len(raw)) + raw
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            return any_value(str(value))
        return b"\x18" + varint(value & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, float):
        return b"\x21" + _double(value)
    if isinstance(value, bytes):
        return message(7, value)
    if isinstance(value, Mapping):
        return message(6, attributes(1, value))
    if isinstance(value, Sequence):
        return message(5, b"".join(message(1, any_value(one)) for one in value))
    return b"" if value is None else any_value(str(value))


def double(number: int, value: float) -> bytes:
    """A field of 64 bits that holds a double."""
    return varint(number << 3 | 1) + _double(value)


def packed_fixed64(number: int, values: Iterable[int]) -> bytes:
    """A packed list of fixed64."""
    return message(number, b"".join(map(fixed64, values)))


def packed_doubles(number: int, values: Iterable[float]) -> bytes:
    """A packed list of doubles."""
    return message(number, b"".join(map(_double, values)))


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: numbers of fields with whole numbers, or with bytes. Raises ValueError for what is none."""
    place = 0
    while place < len(data):
        tag, place = _read_varint(data, place)
        value: int | bytes
        match tag & 7:
            case 0:
                value, place = _read_varint(data, place)
            case 1 | 5 as width:
                size = 8 if width == 1 else 4
                value, place = data[place : place + size], place + size
            case 2:
                size, place = _read_varint(data, place)
                value, place = data[place : place + size], place + size
            case _:
                raise ValueError("not a protobuf message")
        if place > len(data):
            raise ValueError("a protobuf message that is cut off")
        yield tag >> 3, value


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise ValueError("a protobuf number that does not end")


class Envelope:
    """What stands around the items of a request: who sends them. The three signals agree on its shape:
    request(1: resource items(1: resource, 2: scope items(1: scope, 2: item …, 3: schema), 3: schema))."""

    def __init__(
        self, resource: Mapping[str, Any], scope: str, version: str, *, schema: str = "", resource_schema: str = ""
    ) -> None:
        self._resource = message(1, attributes(1, resource))
        self._resource_schema = text(3, resource_schema)
        self._scope = message(1, text(1, scope) + text(2, version))
        self._schema = text(3, schema)

    def around(self, items: Iterable[bytes]) -> bytes:
        """An Export…ServiceRequest."""
        scope = self._scope + b"".join(message(2, item) for item in items) + self._schema
        return message(1, self._resource + message(2, scope) + self._resource_schema)
