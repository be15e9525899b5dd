"""Small hand-made cases of every dialect: tests/recordings/<dialect>/<case>/.

    request.json     what the client asks, in Responses
    sent.json        the body that goes out
    remarks.json     notes and headers that go with it (only where there are some)
    received.sse     what comes back: a stream, byte for byte
    received.jsonl   ... of an AWS event stream: `{"<event type>": <payload>}` on each line
    received.json    ... or whole
    events.jsonl     what the client hears
    response.json    what it ends up with

`pytest tests/dialects --update-goldens` rewrites the expected ones; they are reviewed in the diff.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.protocol import check
from tollbook.errors import UpstreamError
from tollbook.responses.draft import Draft
from tollbook.transport.frame import Frame
from tollbook.transport.sse import SSEDecoder

FOLDER = Path(__file__).parent.parent / "recordings"
CASES = sorted(request.parent for request in FOLDER.glob("*/*/request.json"))

Tell = Callable[[Any], None]
"""Tells a reader all that was received."""


def _cases(*received: str) -> pytest.MarkDecorator:
    """The cases that received one of these, or all."""
    chosen = [case for case in CASES if not received or any((case / f"received.{kind}").exists() for kind in received)]
    return pytest.mark.parametrize("case", chosen, ids=[f"{case.parent.name}-{case.name}" for case in chosen])


@_cases()
def test_request_becomes_the_body_that_is_written_down(case: Path, update_goldens: bool) -> None:
    request = _read(case / "request.json")

    written = _dialect(case).write(request, request["model"])

    _expect(case / "sent.json", written.body, update_goldens)
    remarks = {"notes": list(written.notes), "headers": dict(written.headers)}
    if (case / "remarks.json").exists() or (update_goldens and any(remarks.values())):
        _expect(case / "remarks.json", remarks, update_goldens)


@_cases()
def test_answer_becomes_the_events_that_are_written_down(case: Path, update_goldens: bool) -> None:
    events, response = _hear(case, _all(case))

    assert check(events) == response
    _expect(case / "events.jsonl", events, update_goldens)
    _expect(case / "response.json", response, update_goldens)


@_cases()
def test_answer_says_the_same_to_a_client_that_does_not_stream(case: Path) -> None:
    _, response = _hear(case, _all(case), stream=False)

    assert response == _read(case / "response.json")


@_cases("sse")
def test_bytes_may_be_cut_anywhere(case: Path) -> None:
    raw = (case / "received.sse").read_bytes()
    whole = _decoded([raw])

    for position in range(len(raw)):
        assert _decoded([raw[:position], raw[position:]]) == whole
    assert _decoded([raw[i : i + 1] for i in range(len(raw))]) == whole


@_cases("sse", "jsonl")
def test_answer_without_its_second_half_fails(case: Path) -> None:
    def half(reader: Any) -> None:
        if (case / "received.jsonl").exists():
            frames = _frames(case)
            frames = frames[: len(frames) // 2]
        else:
            raw = (case / "received.sse").read_bytes()
            frames = [Frame(kind, data) for kind, data in _decoded([raw[: len(raw) // 2]])]
        for frame in frames:
            reader.feed(frame)
        reader.end()

    events, response = _hear(case, half)

    assert check(events)["status"] == "failed"
    assert response["error"]["code"] == "upstream_truncated"


def _dialect(case: Path) -> Any:
    return import_module(f"tollbook.dialects.{case.parent.name}")


def _hear(case: Path, tell: Tell, *, stream: bool = True) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What a client hears of the answer, ids and times always the same."""
    request = _read(case / "request.json")
    draft = Draft(request, response_id=f"resp_{0:032x}", model=request["model"], created_at=1760000000, stream=stream)
    reader = _dialect(case).reader(draft, request)
    try:
        tell(reader)
    except UpstreamError as error:
        if not draft.frames:
            draft.begin()
        draft.fail(error)
    return _plain([frame.event for frame in draft.take()]), _plain(draft.response)


def _all(case: Path) -> Tell:
    def tell(reader: Any) -> None:
        if (case / "received.json").exists():
            reader.whole(_read(case / "received.json"))
            return
        for frame in _frames(case):
            reader.feed(frame)
        reader.end()

    return tell


def _frames(case: Path) -> list[Frame]:
    if (case / "received.jsonl").exists():
        return [Frame(kind, event=event) for line in _read(case / "received.jsonl") for kind, event in line.items()]
    return [Frame(kind, raw) for kind, raw in _decoded([(case / "received.sse").read_bytes()])]


def _decoded(chunks: list[bytes]) -> list[tuple[str, bytes]]:
    decoder = SSEDecoder()
    frames = [frame for chunk in chunks for frame in decoder.feed(chunk)]
    return [(frame.type, frame.raw) for frame in [*frames, *decoder.flush()]]


def _plain(value: Any) -> Any:
    """As JSON has it."""
    return json.loads(json.dumps(value))


def _read(path: Path) -> Any:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return json.loads(path.read_text())


def _expect(path: Path, value: Any, update: bool) -> None:
    if update:
        if path.suffix == ".jsonl":
            path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in value))
        else:
            path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    assert value == _read(path)
