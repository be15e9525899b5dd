"""How many tokens a text has, where nobody told.

With the extra `tokens` (tiktoken) the count is exact for OpenAI's models where its vocabulary is on this machine
(`TIKTOKEN_CACHE_DIR`, https://github.com/openai/tiktoken/blob/main/tiktoken/load.py); without it four characters count as one
token, which is OpenAI's own rule of thumb
(https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them). Either way it is an estimate.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from threading import Event, Thread
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


def closely(provider: str, request: Request, items: Sequence[Item]) -> int | None:
    """The same as OpenAI's models count, in some milliseconds at the most; None where that does not fit."""
    texts = of_texts(provider, list(_texts(request, items)))
    if texts is None:
        return None
    pictures = sum(1 for item in items for part in _parts(item) if part.get("type") == "input_image")
    return PER_ITEM * len(items) + PER_IMAGE * pictures + texts


def of_texts(provider: str, texts: Sequence[str]) -> int | None:
    """Tokens of these texts as OpenAI's models count them, of long ones by a sample; None where that does not fit: another
    provider's model, or a vocabulary that is not loaded (`warm`)."""
    if provider not in _OPENAI or not _loaded.is_set():
        return None
    encoding = _encoding()
    if encoding is None:
        return None
    whole = "".join(texts)
    sample = whole[:_SAMPLE]
    tokens = len(encoding.encode(sample, disallowed_special=()))
    return tokens if len(whole) == len(sample) else -(-tokens * len(whole) // len(sample))


def warm() -> None:
    """Load the vocabulary in a thread, if this machine has it; returns at once."""
    Thread(target=_encoding, name="tollbook-vocabulary", daemon=True).start()


def count(texts: Sequence[str]) -> int:
    """Tokens of these texts together."""
    encoding = _encoding()
    if encoding is None:
        return sum(-(-len(text) // 4) for text in texts)
    return sum(len(tokens) for tokens in encoding.encode_batch(list(texts), num_threads=1, disallowed_special=()))


_OPENAI = ("openai", "azure")
_SAMPLE = 8000
"""Characters: some two milliseconds."""
_NAME = "o200k_base"
_FILE = "fb374d419588a4632f3f557e76b4b70aebbca790"
"""What tiktoken calls the vocabulary in its cache: the SHA-1 of its address."""
_loaded = Event()


@cache
def _encoding() -> tiktoken.Encoding | None:
    """None where tiktoken is not installed or its vocabulary is not here: nothing is fetched behind the operator's back."""
    try:
        import tiktoken
    except ImportError:
        return None
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    if not (Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache") / _FILE).is_file():
        return None
    encoding = tiktoken.get_encoding(_NAME)
    _loaded.set()
    return encoding


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
