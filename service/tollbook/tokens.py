"""How many tokens a text has, where nobody told.

With the extra `tokens` (tiktoken) the count is exact for OpenAI's models as soon as its vocabulary is on this machine;
without it four characters count as one token, which is OpenAI's own rule of thumb
(https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them). Either way it is an estimate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from .responses.types import Item, Request
from .transport.wire import encode

if TYPE_CHECKING:
    import tiktoken

PER_ITEM = 4
"""Tokens that frame each message (role, separators)."""

PER_IMAGE = 765
"""Tokens of a picture whose size is not known: 1024 × 1024 in high detail (https://platform.openai.com/docs/guides/images-vision)."""


async def estimate(request: Request, items: Sequence[Item]) -> int:
    """Input tokens of a request with these items in full, counted off the event loop."""
    texts = list(_texts(request, items))
    pictures = sum(1 for item in items for part in _parts(item) if part.get("type") == "input_image")
    frame = PER_ITEM * len(items) + PER_IMAGE * pictures
    return frame + await asyncio.to_thread(count, texts)


def roughly(request: Request, items: Sequence[Item]) -> int:
    """The same by the rule of thumb, at once."""
    pictures = sum(1 for item in items for part in _parts(item) if part.get("type") == "input_image")
    texts = sum(-(-len(text) // 4) for text in _texts(request, items))
    return PER_ITEM * len(items) + PER_IMAGE * pictures + texts


def count(texts: Sequence[str]) -> int:
    """Tokens of these texts together."""
    encoding = _encoding()
    if encoding is None:
        return sum(-(-len(text) // 4) for text in texts)
    return sum(len(tokens) for tokens in encoding.encode_batch(list(texts), num_threads=1, disallowed_special=()))


@cache
def _encoding() -> tiktoken.Encoding | None:
    try:
        import tiktoken

        return tiktoken.get_encoding("o200k_base")
    except (ImportError, OSError):  # not installed, or its vocabulary cannot be fetched
        return None


def _parts(item: Item) -> list[dict[str, Any]]:
    parts = item.get("content") if "content" in item else item.get("output")
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _texts(request: Request, items: Sequence[Item]) -> Iterator[str]:
    if isinstance(request.get("instructions"), str):
        yield request["instructions"]
    for tool in request.get("tools") or ():
        yield encode(tool).decode()
    for item in items:
        for name in ("content", "output", "arguments", "input"):
            if isinstance(item.get(name), str):
                yield item[name]
        for part in _parts(item):
            if isinstance(part.get("text"), str):
                yield part["text"]
        for summary in item.get("summary") or ():
            if isinstance(summary, dict):
                yield str(summary.get("text") or "")
