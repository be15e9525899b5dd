"""Server-sent events: bytes cut anywhere -> frames, and frames -> bytes.

https://html.spec.whatwg.org/multipage/server-sent-events.html: lines end in LF, CR LF or CR; an event ends at a blank
line; lines that start with a colon are comments; several data lines are joined by LF.
"""

from __future__ import annotations

from collections.abc import Iterator

from .frame import Frame

LARGEST_EVENT = 32 * 1024 * 1024
"""An upstream event larger than this (bytes) is refused: an image in base64 fits, an endless line does not."""


class SSEDecoder:
    """Feed it chunks as they arrive; it yields an event as soon as its blank line is in.

    `feed` raises ValueError when one event grows over LARGEST_EVENT. A last event without its blank line is given by
    `flush`: some servers close right after the last data line.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._name = ""
        self._data: list[bytes] = []
        self._held = 0

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        buffer = self._buffer + chunk if self._buffer else chunk
        if b"\r" in buffer:
            # A CR at the end may be the first half of CR LF: wait for the other half.
            tail = b"\r" if buffer.endswith(b"\r") else b""
            buffer = buffer[: len(buffer) - len(tail)].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + tail
        start = 0
        while (end := buffer.find(b"\n", start)) >= 0:
            line = buffer[start:end]
            start = end + 1
            if line:
                self._line(line)
            elif self._data or self._name:
                frame = self._event()
                if frame is not None:
                    yield frame
        self._buffer = buffer[start:]
        if len(self._buffer) + self._held > LARGEST_EVENT:
            raise ValueError(f"an event of the upstream is larger than {LARGEST_EVENT} bytes")

    def flush(self) -> Iterator[Frame]:
        """What is left when the bytes end: the last event, if only its blank line is missing.

        Half a line is not an event: whoever reads then notices that the end is missing.
        """
        rest, self._buffer = self._buffer.rstrip(b"\r"), b""
        if rest:
            self._line(rest)
        frame = self._event()
        if frame is not None and not (rest and _cut(frame)):
            yield frame

    def _line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
            self._held += len(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        elif name not in (b"", b"id", b"retry"):
            # Not SSE: some providers drop the framing for an error body. Give it on, the reader decides.
            self._data.append(line)
            self._held += len(line)

    def _event(self) -> Frame | None:
        name, data = self._name, self._data
        self._name, self._data, self._held = "", [], 0
        if not data:
            return None
        return Frame(name, data[0] if len(data) == 1 else b"\n".join(data))


def _cut(frame: Frame) -> bool:
    """Whether a last line without its end was cut in the middle: all providers send JSON, or `[DONE]`."""
    try:
        return frame.raw != b"[DONE]" and frame.event is None
    except ValueError:
        return True


DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"


def write(frame: Frame) -> bytes:
    """One event in one piece, LF line ends, `event:` equal to the type in the data."""
    return b"event: %b\ndata: %b\n\n" % (frame.type.encode(), frame.raw)
