"""What some prices count beside tokens: pictures, characters, pages, time. Counted only where a price asks.

A unit that cannot be counted (the pages of a document that only the provider has) is left out: then the call is unpriced, for
what is not known is not zero.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from .responses.types import Item, Request, Response
from .responses.usage import CHARACTERS_IN, CHARACTERS_OUT, IMAGES_IN, IMAGES_OUT, PAGES_IN, TIME

_PDF = b"%PDF-"
_PAGES = re.compile(rb"/Type\s*/Pages\b")
_COUNT = re.compile(rb"/Count\s+(\d{1,7})\b")
_STREAM = re.compile(rb"/ObjStm\b[^>]*>>\s*stream\r?\n")
_URL_SAFE = str.maketrans("-_", "+/")
_NEAR = 600
"""Bytes on each side of a page tree's type in which its count stands: both are in one small dictionary."""
_LARGEST = 16 * 1024 * 1024
"""Bytes that a compressed part of a document may unfold to."""


def count_units(
    wanted: Sequence[str], request: Request, items: Sequence[Item], response: Response, took: int
) -> dict[str, int]:
    """Those of the wanted units that can be counted. `items` are all that was sent, `took` is in nanoseconds."""
    found: dict[str, int | None] = {}
    for unit in wanted:
        match unit:
            case "milliseconds":
                found[TIME] = -(-max(took, 0) // 1_000_000)
            case "input_image_count":
                found[IMAGES_IN] = sum(part.get("type") == "input_image" for part in _parts(items))
            case "output_image_count":
                found[IMAGES_OUT] = sum(_pictures(item) for item in response.get("output") or ())
            case "input_characters":
                found[CHARACTERS_IN] = len(str(request.get("instructions") or "")) + _characters(items)
            case "output_characters":
                found[CHARACTERS_OUT] = _characters(response.get("output") or ())
            case "input_pages":
                found[PAGES_IN] = _all_pages(items)
    return {unit: count for unit, count in found.items() if count is not None}


def _parts(items: Sequence[Item]) -> Iterator[Mapping[str, Any]]:
    for item in items:
        for name in ("content", "output"):
            parts = item.get(name)
            yield from (part for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ()


def _characters(items: Sequence[Any]) -> int:
    """Unicode code points of texts, arguments and results; reasoning is not shown and not counted."""
    shown = [item for item in items if isinstance(item, dict) and item.get("type") != "reasoning"]
    plain = sum(
        len(item[name])
        for item in shown
        for name in ("content", "output", "arguments", "input")
        if isinstance(item.get(name), str)
    )
    return plain + sum(
        len(part[name]) for part in _parts(shown) for name in ("text", "refusal") if isinstance(part.get(name), str)
    )


def _pictures(item: Any) -> int:
    if not isinstance(item, dict):
        return 0
    if item.get("type") == "image_generation_call":
        return 1 if item.get("result") else 0
    return sum(part.get("type") in ("output_image", "image") for part in _parts([item]))


def _all_pages(items: Sequence[Item]) -> int | None:
    """Pages of all documents together; None as soon as one cannot be counted."""
    total = 0
    for part in _parts(items):
        if part.get("type") == "input_file":
            pages = _pages(part.get("file_data"))
            if pages is None:
                return None
            total += pages
    return total


def _pages(data: Any) -> int | None:
    """Pages of a PDF given as base64 or as a data URL. The root of its page tree has the largest count (ISO 32000-2, 7.7.3.2)."""
    if not isinstance(data, str):
        return None
    try:
        content = base64.b64decode(data.rpartition("base64,")[2].translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError):
        return None
    if _PDF not in content[:1024]:
        return None
    counts = [count for text in (content, *_unfolded(content)) for count in _counts(text)]
    return max(counts, default=None)


def _counts(text: bytes) -> Iterator[int]:
    for tree in _PAGES.finditer(text):
        start, end = text.rfind(b"<<", max(0, tree.start() - _NEAR), tree.start()), text.find(b">>", tree.end())
        if start >= 0 and 0 <= end - start < 2 * _NEAR + _NEAR and (count := _COUNT.search(text, start, end)):
            yield int(count[1])


def _unfolded(content: bytes) -> Iterator[bytes]:
    """Objects that are kept compressed, in a stream of their own (ISO 32000-2, 7.5.7)."""
    for stream in _STREAM.finditer(content):
        with suppress(zlib.error):
            yield zlib.decompressobj().decompress(content[stream.end() :], _LARGEST)
