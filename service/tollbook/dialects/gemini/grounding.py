"""groundingMetadata and urlContextMetadata -> citations and the calls of the search behind them.

https://ai.google.dev/api/generate-content#GroundingMetadata. A stream tells it with its last chunk, or bit by bit.
Segments count bytes of UTF-8; Responses counts characters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tollbook.responses.types import Item

_Support = tuple[dict[str, Any], list[dict[str, Any]]]
"""A segment of the answer and the grounding chunks that it rests on."""


class Grounding:
    """What the answer rests on, as far as it is told."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self._retrieval_queries: list[str] = []
        self._chunks: list[dict[str, Any]] = []
        self._supports: list[_Support] = []
        self._told: list[_Support] = []
        self._pages: list[str] = []

    def add(self, candidate: dict[str, Any]) -> None:
        """The metadata of one chunk. A list that is told again goes on from the earlier one, or is another one."""
        metadata = candidate.get("groundingMetadata")
        if isinstance(metadata, dict):
            self.queries = _longer(self.queries, texts(metadata.get("webSearchQueries")))
            self._retrieval_queries = _longer(self._retrieval_queries, texts(metadata.get("retrievalQueries")))
            chunks = _objects(metadata.get("groundingChunks"))
            self._chunks = _longer(self._chunks, chunks)
            self._support(_objects(metadata.get("groundingSupports")), chunks or self._chunks)
        context = candidate.get("urlContextMetadata")
        if isinstance(context, dict):
            pages = [p.get("retrievedUrl") for p in _objects(context.get("urlMetadata"))]
            self._pages = _longer(self._pages, texts(pages))

    def _support(self, supports: list[dict[str, Any]], chunks: list[dict[str, Any]]) -> None:
        """Indices mean the chunks that were told with them."""
        for support in supports:
            segment, indices = support.get("segment"), support.get("groundingChunkIndices")
            if not isinstance(segment, dict) or not isinstance(indices, list):
                continue
            cited = [chunks[index] for index in indices if isinstance(index, int) and 0 <= index < len(chunks)]
            if (segment, cited) not in self._supports and (segment, cited) not in self._told:
                self._supports.append((segment, cited))

    def annotations(self, text: str, start: int, *, last: bool) -> Iterator[dict[str, Any]]:
        """Citations in the characters of `text` from `start` on - the text part that is open - and counted from there.

        Each is told once. With the `last` part come those that were not known, or not at home, before: what cites an
        earlier part stands at the beginning of this one, for that one is closed.
        """
        spans = _Spans(text)
        waiting = []
        for support in self._supports:
            segment, chunks = support
            found = spans.characters(segment, guess=last)
            if not last and (found is None or found[0] < start):
                waiting.append(support)
                continue
            begin, end = found or (len(text), len(text))
            for chunk in chunks:
                citation = _citation(chunk, max(begin - start, 0), max(end - start, 0))
                if citation is not None:
                    yield citation
            self._told.append(support)
        self._supports = waiting

    def calls(self, told: set[str]) -> Iterator[Item]:
        """Items for searches that Gemini made but told no call of; `told` are the types it told itself."""
        sources = [place for chunk in self._chunks if (place := _address(chunk)[0])]
        if self.queries and "web_search_call" not in told:
            action: dict[str, Any] = {"type": "search", "query": self.queries[0], "queries": self.queries}
            if sources:
                action["sources"] = [{"type": "url", "url": url} for url in dict.fromkeys(sources)]
            yield {"type": "web_search_call", "action": action}
        if "web_search_call" not in told:
            for page in self._pages:
                yield {"type": "web_search_call", "action": {"type": "open_page", "url": page}}
        found = [c["retrievedContext"] for c in self._chunks if isinstance(c.get("retrievedContext"), dict)]
        if found and "file_search_call" not in told:
            results = [{**_file(context), "text": str(context.get("text") or "")} for context in found]
            yield {"type": "file_search_call", "queries": self._retrieval_queries, "results": results}


class _Spans:
    """Places in a text by its UTF-8 bytes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._bytes = text.encode("utf-8", "surrogatepass")

    def characters(self, segment: dict[str, Any], *, guess: bool) -> tuple[int, int] | None:
        """Start and end in characters, or None when they are not in this text.

        `segment.text` settles doubts, for offsets may count from the start of one part of several; and a `guess` takes
        the offsets, or finds the text, where the two do not agree.
        """
        first, last = _offset(segment.get("startIndex")), _offset(segment.get("endIndex"))
        begin, end = self._character(first), self._character(last)
        said = segment.get("text")
        if not isinstance(said, str) or not said:
            return (begin, max(begin, end)) if last <= len(self._bytes) or guess else None
        if self._text[begin:end] == said:
            return begin, end
        found = self._text.find(said)
        if found >= 0:
            return found, found + len(said)
        return (begin, max(begin, end)) if guess else None

    def _character(self, offset: int) -> int:
        return len(self._bytes[:offset].decode("utf-8", "ignore"))


def _citation(chunk: dict[str, Any], begin: int, end: int) -> dict[str, Any] | None:
    url, title = _address(chunk)
    if url:
        return {"type": "url_citation", "url": url, "title": title, "start_index": begin, "end_index": end}
    context = chunk.get("retrievedContext")
    if isinstance(context, dict):
        return {"type": "file_citation", **_file(context), "index": end}
    return None


def _address(chunk: dict[str, Any]) -> tuple[str, str]:
    """Address and title of what a grounding chunk points at, if it is on the web."""
    for kind in ("web", "maps", "image", "retrievedContext"):
        place = chunk.get(kind)
        if isinstance(place, dict):
            url = place.get("uri") or place.get("sourceUri")
            if isinstance(url, str) and url:
                return url, str(place.get("title") or "")
    return "", ""


def _file(context: dict[str, Any]) -> dict[str, str]:
    name = str(context.get("documentName") or context.get("fileSearchStore") or context.get("uri") or "")
    return {"file_id": name, "filename": str(context.get("title") or name)}


def _longer(old: list[Any], new: list[Any]) -> list[Any]:
    """Both tellings in one list: the new one when it goes on from the old, else one after the other."""
    if new[: len(old)] == old:
        return new
    return old if not new or old[: len(new)] == new else [*old, *new]


def _offset(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def texts(value: Any) -> list[str]:
    """The texts in what should be a list of them."""
    return [entry for entry in value if isinstance(entry, str) and entry] if isinstance(value, list) else []
