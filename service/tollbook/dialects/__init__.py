"""Their languages: what a provider's API says, in our words, and back. Pure: no client, clock, logger, span or price.

A dialect is a module with three functions:

    write(request, model, *, drop) -> Written      our request -> their body
    reader(draft, request)         -> Reader       their frames -> facts for the draft
    error(status, body, headers)   -> UpstreamError   their refusal -> one kind of ours

`responses` is the native one (frames pass through); `chat`, `messages`, `gemini` and `converse` translate. What they
share is one story: history as items (responses/types.py), tools as plain functions (responses/tools.py), sealed
reasoning (responses/seals.py), tokens in disjoint kinds (responses/usage.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tollbook.errors import UpstreamError
from tollbook.responses.draft import Draft
from tollbook.responses.types import Request
from tollbook.transport.frame import Frame


@dataclass(frozen=True, slots=True)
class Written:
    """A request in their words.

    `body` goes out as JSON. `notes` name tuning parameters that have no equivalent and were left out, or were changed:
    "top_logprobs: dropped", "reasoning.effort: adapted (4096 tokens)"; they reach the call record and a response header.
    `headers` are those that depend on the content (beta flags).
    """

    body: dict[str, Any]
    notes: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


class Reader(Protocol):
    """Reads one answer. Raises UpstreamError for an error inside it; anything unknown is passed over."""

    def feed(self, frame: Frame) -> None:
        """One frame of a streamed answer."""

    def whole(self, body: Any) -> None:
        """An answer that came in one piece: told to the same draft as the stream would be, `end` included."""

    def end(self) -> None:
        """The stream is over. Raises UpstreamError("truncated") when the answer was not."""


class Dialect(Protocol):
    """What each module of this package offers."""

    native: bool
    """Whether it is the Responses API itself: frames keep their bytes and unknown parameters pass."""

    inlines_urls: frozenset[str]
    """Part types whose `image_url`/`file_url` must be fetched and inlined before `write`, because the API takes bytes only."""

    def write(self, request: Request, model: str, *, drop: bool = False) -> Written:
        """The body for `model`. Streaming is asked for by `request["stream"]` where the body says it.

        Raises Unsupported naming every piece of content that has no equivalent, unless `drop`, which notes them instead.
        """

    def reader(self, draft: Draft, request: Request) -> Reader:
        """A reader for the answer to `request`."""

    def error(self, status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
        """The provider's refusal. `body` may be anything, also empty or HTML."""
