"""A recording's bytes through a dialect's reader, in this process: what the answer says then, and the events on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from tollbook.errors import UpstreamError
from tollbook.responses.draft import Draft
from tollbook.transport.eventstream import EventStreamDecoder
from tollbook.transport.sse import SSEDecoder
from tollbook.transport.wire import decode

from .deployments import endpoint
from .library import replay
from .oracle import Failure, Said, settled
from .oracle_responses import of_response


@dataclass(frozen=True, kw_only=True)
class Heard:
    said: Said
    events: list[dict[str, Any]]
    """Events of the stream; empty when it was not asked for, and for error answers."""
    response: dict[str, Any] = field(default_factory=dict)
    """The Response object, where a client of the gateway got one."""
    draft: Draft | None = None
    """What the dialect told, where it was heard in this process."""


def hear(recording: Any, fragments: str = "whole", *, stream: bool = True, body: bytes | None = None) -> Heard:
    """Feed the recording as the upstream would, cut as replay.py's `frag` names it. `body` replaces the recorded bytes."""
    dialect = endpoint(recording.id).dialect
    if recording.status >= 400:
        headers = {name.lower(): value for name, value in recording.headers.items()}
        error = dialect.error(recording.status, recording.body, headers)
        assert isinstance(error, UpstreamError)
        return Heard(said=Said(stop="error", failure=_failure(error, error.upstream_status)), events=[])
    request = {"model": recording.model or "a-model", "input": "Hello."}
    draft = Draft(request, response_id="resp_1", model=str(request["model"]), stream=stream)
    reader = dialect.reader(draft, request)
    if not dialect.native and not draft.frames:
        draft.begin()
    failure = None
    try:
        _feed(recording, reader, _pieces(recording, recording.body if body is None else body, fragments))
    except UpstreamError as error:
        failure = _failure(error, None)
        draft.fail(error)
    assert draft.done, "the answer ended, but the draft did not"
    answer = of_response(draft.response, failure=failure)
    answer = replace(answer, stop="error") if failure else answer
    events = [frame.event for frame in draft.take()] if stream else []
    return Heard(said=settled(answer), events=events, draft=draft)


def _feed(recording: Any, reader: Any, pieces: Iterable[bytes]) -> None:
    kind = recording.data["body_kind"]
    if kind not in ("sse", "eventstream"):
        try:
            body = decode(b"".join(pieces))
        except ValueError as broken:
            raise UpstreamError(f"Not JSON: {broken}.", "server") from None
        reader.whole(body)
        return
    decoder = EventStreamDecoder() if kind == "eventstream" else SSEDecoder()
    try:
        for piece in pieces:
            for frame in decoder.feed(piece):
                reader.feed(frame)
        for frame in decoder.flush():
            reader.feed(frame)
    except ValueError as broken:
        raise UpstreamError(f"The stream is broken: {broken}.", "server") from None
    reader.end()


def _pieces(recording: Any, body: bytes, fragments: str) -> Iterable[bytes]:
    points = [p for p in replay().cut_points(recording, fragments, 7) if p < len(body)]
    edges = [0, *points, len(body)]
    return (body[start:end] for start, end in pairwise(edges))


def _failure(error: UpstreamError, status: int | None) -> Failure:
    return Failure(kind=error.kind, message=error.message, status=status)
