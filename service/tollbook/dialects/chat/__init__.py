"""The language of OpenAI's Chat Completions, which most hosts speak, each in its own manner.

https://platform.openai.com/docs/api-reference/chat. The module itself is the dialect as OpenAI speaks it; `Chat(manner)`
is the same language as another host speaks it (`manner.py`: the differences as data).

    manner.py     how hosts differ
    write.py      request -> body         history.py    items -> messages
    read.py       chunks -> facts         calls.py, reasoning.py, extras.py, tokens.py: their parts
    refused.py    errors
"""

from __future__ import annotations

from collections.abc import Mapping

from tollbook.dialects import Reader, Written
from tollbook.errors import UpstreamError
from tollbook.responses.draft import Draft
from tollbook.responses.types import Request

from .manner import HOST_SAMPLING, OPENAI, SAMPLING, Manner
from .read import ChatReader
from .refused import error as _error
from .write import write as _write

__all__ = [
    "HOST_SAMPLING",
    "OPENAI",
    "SAMPLING",
    "Chat",
    "Manner",
    "error",
    "inlines_urls",
    "native",
    "reader",
    "write",
]


class Chat:
    """Chat Completions in one manner; a `Dialect`."""

    native = False

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.inlines_urls: frozenset[str] = frozenset() if manner.file_urls else frozenset({"input_file"})
        """Documents travel as bytes, unless the host fetches them itself; images may always be links."""

    def __repr__(self) -> str:
        return f"Chat({self.manner.host!r})"

    def write(self, request: Request, model: str, *, drop: bool = False) -> Written:
        return _write(request, model, self.manner, drop=drop)

    def reader(self, draft: Draft, request: Request) -> Reader:  # noqa: ARG002 - the answer says all it needs
        return ChatReader(draft, self.manner)

    def error(self, status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
        return _error(status, body, headers)


_OPENAI = Chat(OPENAI)

native = False
inlines_urls = _OPENAI.inlines_urls
write = _OPENAI.write
reader = _OPENAI.reader
error = _OPENAI.error
