"""JSON in and out, once for the whole product."""

from __future__ import annotations

import json
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder()

encode = _ENCODER.encode
"""Anything made of dicts, lists, strings, numbers, booleans and None -> compact JSON bytes."""


def decode(data: bytes | str) -> Any:
    """JSON -> Python. Raises ValueError for malformed JSON, lone surrogates, numbers out of range and deep nesting."""
    try:
        return _DECODER.decode(data)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"invalid UTF-8 at byte {error.start}") from None


def decode_strict(data: bytes) -> Any:
    """As `decode`, and refuses duplicate keys and NUL characters: what two parsers could read differently.

    RFC 8259 §4 leaves duplicates undefined; a gateway that lets one through may check one value and forward another.
    Only a second parser tells of them: looking for keys in the bytes is slower, and escapes mislead it.
    """
    value = decode(data)
    try:
        _UNIQUE.decode(data.decode())
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    if b"\\u0000" in data and _has_nul(value):
        raise ValueError("NUL characters are not accepted")
    return value


def _has_nul(value: Any) -> bool:
    stack = [value]
    while stack:
        node = stack.pop()
        if type(node) is str:
            if "\0" in node:
                return True
        elif type(node) is dict:
            stack.extend(node)
            stack.extend(node.values())
        elif type(node) is list:
            stack.extend(node)
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"duplicate key {key!r}")
            seen.add(key)
    return found


_UNIQUE = json.JSONDecoder(object_pairs_hook=_unique)
