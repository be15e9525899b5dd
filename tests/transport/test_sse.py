"""Server-sent events, however the network cut them (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollbook.transport import sse
from tollbook.transport.frame import Frame
from tollbook.transport.sse import SSEDecoder

STREAM = (
    'event: a\ndata: {"text": "häß 中 😀"}\n\n'
    ": a comment\n\n"
    'data: {"n": 1}\n\n'
    "id: 7\nretry: 10\nevent: lines\ndata: [1,\ndata: 2]\n\n"
    "data: [DONE]\n\n"
).encode()

FRAMES = [
    ("a", '{"text": "häß 中 😀"}'.encode()),
    ("", b'{"n": 1}'),
    ("lines", b"[1,\n2]"),
    ("", b"[DONE]"),
]


def read(*chunks: bytes) -> list[tuple[str, bytes]]:
    decoder = SSEDecoder()
    frames = [frame for chunk in chunks for frame in decoder.feed(chunk)]
    frames += decoder.flush()
    return [(frame.type, frame.raw) for frame in frames]


def cut(data: bytes, points: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(p, len(data)) for p in points), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.lists(st.integers(0, len(STREAM))), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_cutting_and_any_line_end_gives_the_same_frames(points: list[int], end: bytes) -> None:
    data = STREAM.replace(b"\n", end)

    assert read(*cut(data, points)) == FRAMES


LINES = [b"data: x\n", b"data:y\r", b": c\r\n", b"event: e\n", b"data\n", b"\n", b"\r\n", b"\r"]


@given(st.lists(st.sampled_from(LINES), max_size=20))
def test_bytes_one_by_one_are_the_same_as_all_at_once(lines: list[bytes]) -> None:
    data = b"".join(lines)

    assert read(*(data[i : i + 1] for i in range(len(data)))) == read(data)


def test_a_frame_is_there_as_soon_as_its_blank_line_is() -> None:
    decoder = SSEDecoder()

    assert [f.raw for f in decoder.feed(b"data: 1\n\nda")] == [b"1"]
    assert [f.raw for f in decoder.feed(b"ta: 2\n")] == []
    assert [f.raw for f in decoder.feed(b"\n")] == [b"2"]


def test_comments_and_blank_lines_are_no_frames() -> None:
    assert read(b"\n\n: ping\n\n\n:\n\n") == []


def test_an_event_without_data_is_no_frame() -> None:
    assert read(b"event: ping\n\ndata: 1\n\n") == [("", b"1")]


def test_only_one_space_after_the_colon_belongs_to_the_framing() -> None:
    assert read(b"data:  two\n\ndata:none\n\n") == [("", b" two"), ("", b"none")]


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r", b"\r\n"])
def test_the_last_frame_may_lack_its_blank_line(tail: bytes) -> None:
    assert read(b"event: end\ndata: 1" + tail) == [("end", b"1")]


def test_a_line_that_is_no_field_is_given_on_as_data() -> None:
    """Some hosts drop the framing for an error: its JSON must reach the reader."""
    assert read(b'data: 1\n\n{"error":\n {"code": 500}}\n') == [("", b"1"), ("", b'{"error":\n {"code": 500}}')]


@pytest.mark.parametrize("chunk", [b"data: " + b"x" * 60, b"data: " + b"x" * 20 + b"\n"])
def test_an_event_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch, chunk: bytes) -> None:
    monkeypatch.setattr(sse, "LARGEST_EVENT", 50)
    decoder = SSEDecoder()

    def endless() -> None:
        for _ in range(10):
            list(decoder.feed(chunk))

    with pytest.raises(ValueError, match="larger than 50 bytes"):
        endless()


@given(
    st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=50),
    st.integers(1, 9),
)
def test_what_is_written_is_read_again(text: str, size: int) -> None:
    data = sse.write(Frame("response.output_text.delta", event={"type": "response.output_text.delta", "delta": text}))

    decoder = SSEDecoder()
    (frame,) = [f for i in range(0, len(data), size) for f in decoder.feed(data[i : i + size])]

    assert frame.type == "response.output_text.delta"
    assert frame.event["delta"] == text
