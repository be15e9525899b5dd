"""Claude's Messages API inside InvokeModel: its own body and events, with AWS's errors around them.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html: the model and
whether to stream are said by the URL, the version and beta flags in the body, and images come as bytes only.
"""

from __future__ import annotations

from typing import Any

from tollbook.dialects import Reader, Written, messages
from tollbook.responses.draft import Draft
from tollbook.responses.types import Request
from tollbook.transport.frame import Frame

from . import failure
from .failure import error

__all__ = ["error", "inlines_urls", "native", "reader", "write"]

native = False
inlines_urls = frozenset({"input_image", "input_file"})

VERSION = "bedrock-2023-05-31"


def write(request: Request, model: str, *, drop: bool = False) -> Written:
    """The Messages body without `model` and `stream`; beta flags move from the header into `anthropic_beta`."""
    written = messages.write(request, model, drop=drop)
    body: dict[str, Any] = {k: v for k, v in written.body.items() if k not in ("model", "stream")}
    headers = {name.lower(): value for name, value in written.headers.items()}
    flags = [flag.strip() for flag in headers.pop("anthropic-beta", "").split(",") if flag.strip()]
    if flags:
        body["anthropic_beta"] = [*body.get("anthropic_beta", ()), *flags]
    return Written({"anthropic_version": VERSION, **body}, written.notes, headers)


def reader(draft: Draft, request: Request) -> Reader:
    """Reads Claude's events, and the exceptions that only Bedrock's framing has."""
    return _Reader(messages.reader(draft, request))


class _Reader:
    def __init__(self, events: Reader) -> None:
        self._events = events

    def feed(self, frame: Frame) -> None:
        if frame.type == "exception":
            raise failure.in_band(frame.event)
        self._events.feed(frame)

    def whole(self, body: Any) -> None:
        self._events.whole(body)

    def end(self) -> None:
        self._events.end()
