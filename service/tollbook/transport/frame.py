"""One message of a stream: its type and its JSON, decoded or encoded only when somebody needs the other form."""

from __future__ import annotations

from typing import Any

from .wire import decode, encode


class Frame:
    """A message of a stream.

    `type` is the event name ("" where the framing has none). `raw` is its data as JSON bytes, `event` the same as a
    value. A frame from outside keeps its bytes; a frame of ours is encoded on first use. `event` raises ValueError
    if the bytes are not JSON.
    """

    __slots__ = ("_event", "_raw", "type")

    def __init__(self, type: str, raw: bytes | None = None, event: Any = None) -> None:  # noqa: A002 - the wire calls it type
        self.type = type
        self._raw = raw
        self._event = event

    @property
    def raw(self) -> bytes:
        if self._raw is None:
            self._raw = encode(self._event)
        return self._raw

    @property
    def event(self) -> Any:
        if self._event is None:
            self._event = decode(self._raw or b"null")
        return self._event

    def __repr__(self) -> str:
        return f"Frame({self.type!r}, {self.raw!r})"
