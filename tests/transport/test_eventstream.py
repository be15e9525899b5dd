"""AWS event streams: every cutting gives the same frames, every broken byte is noticed."""

from __future__ import annotations

import base64
import json
import struct
from itertools import pairwise
from typing import Any
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from tests.shared.library import ABSENT, library, present
from tollbook.transport import eventstream
from tollbook.transport.eventstream import EventStreamDecoder
from tollbook.transport.frame import Frame

# One header of each type of the specification that is no text: true, false, byte, short, integer, long, bytes, timestamp, uuid.
ODD_HEADERS = b"".join(
    [
        b"\x01a\x00",
        b"\x01b\x01",
        b"\x01c\x02\x07",
        b"\x01d\x03\x00\x07",
        b"\x01e\x04" + bytes(4),
        b"\x01f\x05" + bytes(8),
        b"\x01g\x06\x00\x02xy",
        b"\x01h\x08" + bytes(8),
        b"\x01i\x09" + bytes(16),
    ]
)


def message(payload: bytes, *, odd: bytes = b"", **headers: str) -> bytes:
    """A message whose text headers are `:event-type` for `event_type` and so on, after `odd` headers as they are."""
    packed = odd
    for word, value in headers.items():
        name = b":" + word.replace("_", "-").encode()
        packed += bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    whole = prelude + struct.pack(">I", crc32(prelude)) + packed + payload
    return whole + struct.pack(">I", crc32(whole))


def event(kind: str, value: Any, **more: Any) -> bytes:
    return message(
        json.dumps(value).encode(), event_type=kind, content_type="application/json", message_type="event", **more
    )


def read(*chunks: bytes) -> list[Frame]:
    decoder = EventStreamDecoder()
    return [frame for chunk in chunks for frame in decoder.feed(chunk)] + list(decoder.flush())


STREAM = (
    event("messageStart", {"role": "assistant", "p": "abc"})
    + event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "häß 😀"}}, odd=ODD_HEADERS)
    + event("messageStop", {"stopReason": "end_turn"})
)


@given(st.lists(st.integers(0, len(STREAM))))
def test_any_cutting_gives_the_same_frames(points: list[int]) -> None:
    edges = [0, *sorted(points), len(STREAM)]

    frames = read(*(STREAM[start:end] for start, end in pairwise(edges)))

    assert [f.type for f in frames] == ["messageStart", "contentBlockDelta", "messageStop"]
    assert frames[1].event == {"contentBlockIndex": 0, "delta": {"text": "häß 😀"}}


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, change: int) -> None:
    broken = bytearray(STREAM)
    broken[place] ^= change

    with pytest.raises(ValueError, match="event stream message"):
        read(bytes(broken))


def test_frames_before_a_broken_one_are_given() -> None:
    decoder = EventStreamDecoder()
    broken = STREAM + bytes(16)
    found = []

    def run() -> None:
        for frame in decoder.feed(broken):
            found.append(frame.type)  # noqa: PERF401 - those before the error count

    with pytest.raises(ValueError, match="prelude checksum"):
        run()
    assert found == ["messageStart", "contentBlockDelta", "messageStop"]


def test_a_message_that_was_cut_is_no_frame() -> None:
    assert [f.type for f in read(STREAM[:-1])] == ["messageStart", "contentBlockDelta"]


def test_json_instead_of_a_stream_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="prelude checksum"):
        read(b'{"message": "not a stream"}')


@pytest.mark.parametrize(("total", "headers"), [(25 * 1024 * 1024, 0), (15, 0), (40, 30), (500_000, 200_000)])
def test_impossible_lengths_are_refused_before_the_message_is_in(total: int, headers: int) -> None:
    prelude = struct.pack(">II", total, headers)

    with pytest.raises(ValueError, match="impossible lengths"):
        read(prelude + struct.pack(">I", crc32(prelude)))


@pytest.mark.parametrize(
    "odd", [b"\x05ab", b"\x01a\x0b", b"\x01a\x07\x00\x09x", b"\x01a\x07\x00\x01\xff", b"\x01a\x05\x00"]
)
def test_malformed_headers_are_refused(odd: bytes) -> None:
    with pytest.raises(ValueError, match="malformed headers"):
        read(message(b"{}", odd=odd))


def test_a_large_message_in_small_chunks_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = event("contentBlockDelta", {"delta": {"text": "x" * 2_000_000}})

    (frame,) = read(*(data[i : i + 16_384] for i in range(0, len(data), 16_384)))

    assert len(frame.event["delta"]["text"]) == 2_000_000
    monkeypatch.setattr(eventstream, "LARGEST_MESSAGE", 1_000_000)
    with pytest.raises(ValueError, match="impossible lengths"):
        read(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            message(b'{"message": "slow down"}', message_type="exception", exception_type="throttlingException"),
            {"type": "throttlingException", "message": "slow down"},
        ),
        (
            message(
                b'{"message":"x","originalStatusCode":529}',
                message_type="exception",
                exception_type="modelStreamErrorException",
            ),
            {"type": "modelStreamErrorException", "message": "x", "originalStatusCode": 529},
        ),
        (
            message(b"", message_type="error", error_code="InternalError", error_message="it broke"),
            {"type": "InternalError", "message": "it broke"},
        ),
        (message(b"not json", message_type="exception"), {"type": "", "message": "not json"}),
    ],
)
def test_exceptions_and_errors_are_frames_of_their_own(data: bytes, expected: dict[str, Any]) -> None:
    (frame,) = read(data)

    assert frame.type == "exception"
    assert frame.event == expected


def chunk(inner: bytes) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(inner).decode(), "p": "abcd"})


def test_chunks_of_invoke_model_are_the_models_own_events() -> None:
    inner = b'{"type": "content_block_delta",   "delta": {}}'

    frames = read(chunk(inner) + chunk(b'{"outputText": "hi"}') + event("chunk", {"odd": 1}))

    assert [f.type for f in frames] == ["content_block_delta", "", "chunk"]
    assert frames[0].raw == inner
    assert frames[1].event == {"outputText": "hi"}


@pytest.mark.parametrize(
    "data", [event("chunk", {"bytes": "%%%"}), chunk(b"no json"), message(b"no json", event_type="chunk")]
)
def test_a_chunk_that_holds_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(data)


@pytest.mark.recordings
@pytest.mark.skipif(not present(), reason=ABSENT)
def test_recorded_streams_are_read_as_botocore_reads_them() -> None:
    streams = library().find(provider="bedrock", streaming=True, status=200)
    bodies = [library()[name].body for name in streams if library()[name].is_eventstream]

    assert len(bodies) > 40
    for body in bodies:
        theirs = EventStreamBuffer()
        theirs.add_data(body)
        expected = [(m.headers[":event-type"], json.loads(m.payload)) for m in theirs]
        frames = read(*(body[i : i + 1000] for i in range(0, len(body), 1000)))
        assert len(frames) == len(expected)
        for frame, (kind, value) in zip(frames, expected, strict=True):
            if kind == "chunk":
                assert frame.raw == base64.b64decode(value["bytes"])
            else:
                assert (frame.type, frame.event) == (kind, value)
