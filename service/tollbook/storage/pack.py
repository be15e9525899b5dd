"""Between the gateway's objects and the blobs of the journal.

msgpack where it can say it. JSON may hold what msgpack and UTF-8 cannot (a lone surrogate, an integer of 30 digits):
content that does is kept as escaped JSON and comes back as it was, facts are told in the nearest words.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from tollbook.call import Call

from . import Turn, facts
from .journal import Entry

if sys.version_info >= (3, 14):
    from compression.zstd import decompress
else:
    from backports.zstd import decompress

HEAD = (
    "response_id",
    "previous_response_id",
    "session_id",
    "session_started",
    "number",
    "key_id",
    "call_id",
    "trace_id",
    "span_id",
    "model",
    "deployment",
    "provider",
    "native",
    "created",
    "status",
)
"""The fields of a Turn that are not content, in the order of a head."""


class Kept(NamedTuple):
    """A turn as it is kept: the values of `HEAD`, and the compressed content."""

    head: Sequence[Any]
    content: bytes


_head = attrgetter(*HEAD)
_content = attrgetter("request", "input", "response")
_encoder = msgspec.msgpack.Encoder(enc_hook=str)
_plain_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.decode


def entry(call: Call, turn: Turn | None) -> Entry:
    """What the journal keeps of a call and its turn: a snapshot, whatever becomes of the objects afterwards."""
    of_call = _encode_facts(facts.of(call))
    if turn is None:
        return Entry(time.time_ns(), clean(call.id), of_call, None, None, None)
    head = _encode_facts(_head(turn))
    content = _encode_content(_content(turn))
    return Entry(time.time_ns(), clean(call.id), of_call, clean(turn.response_id), head, content)


def unpack_facts(blob: bytes) -> list[Any]:
    """What `facts.of` told, with lists for tuples."""
    found: list[Any] = _decode(blob)
    return found


def unpack_head(blob: bytes) -> list[Any]:
    """The values of `HEAD`."""
    found: list[Any] = _decode(blob)
    return found


def unpack_turn(kept: Kept) -> Turn:
    """The turn that was kept."""
    head, content = kept
    plain = decompress(content)
    # A msgpack array never begins with a bracket of JSON: 0x5b is the number 91 there.
    request, items, response = json.loads(plain) if plain[:1] == b"[" else _decode(plain)
    return Turn(**dict(zip(HEAD, head, strict=True)), request=request, input=items, response=response)


def _encode_content(content: tuple[Any, ...]) -> bytes:
    try:
        return _plain_encoder.encode(content)
    except (UnicodeEncodeError, OverflowError, ValueError, TypeError):
        return json.dumps(content).encode("ascii")


def _encode_facts(values: tuple[Any, ...]) -> bytes:
    try:
        return _encoder.encode(values)
    except (UnicodeEncodeError, OverflowError, ValueError, TypeError):
        return _encoder.encode(clean(values))


def clean(value: Any) -> Any:
    """The nearest thing that UTF-8 and 64 bits can say."""
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                # surrogatepass and back joins the pairs that belong together and marks those that do not
                return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return value
        case bool() | float() | None:
            return value
        case int():
            return max(-(2**63) + 1, min(2**63 - 1, value))
        case Mapping():
            return {clean(name): clean(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [clean(each) for each in value]
        case _:
            return clean(str(value))
