"""What some hosts say beside the text: citations, search results, images, tools they ran themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tollbook.responses.draft import Draft
from tollbook.responses.types import Item
from tollbook.transport.wire import decode

_DATA_URL = re.compile(r"data:image/([\w.+-]+);base64,")


def annotation_of(annotation: Any) -> dict[str, Any] | None:
    """A chat annotation as one of OpenAI's Responses API; None for what is no citation (OpenRouter's parsed files)."""
    cited = annotation.get("url_citation") if isinstance(annotation, dict) else None
    if not isinstance(cited, dict):
        return None
    return _citation(cited.get("url"), cited.get("title"), _index(cited, "start_index"), _index(cited, "end_index"))


def image_item(image: Any) -> Item | None:
    """An image in an answer (https://openrouter.ai/docs/features/multimodal/image-generation) as a finished call."""
    place = image.get("image_url") if isinstance(image, dict) else None
    url = place.get("url") if isinstance(place, dict) else place
    if not isinstance(url, str):
        return None
    match = _DATA_URL.match(url)
    if match is None:
        return {"type": "image_generation_call", "result": url}  # a link where others give the bytes
    return {"type": "image_generation_call", "result": url[match.end() :], "output_format": match[1]}


class Sources:
    """Pages that Perplexity found: `search_results`, or just `citations`, at the top level of every chunk.

    The text points at them with [1], [2] ... (https://docs.perplexity.ai/api-reference/chat-completions-post).
    """

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []
        self._text: list[str] = []
        self._told = False

    def feed(self, chunk: dict[str, Any]) -> None:
        found = [
            (source["url"], source.get("title") or source["url"])
            for source in _list(chunk.get("search_results"))
            if isinstance(source, dict) and isinstance(source.get("url"), str)
        ]
        urls = [url for url in _list(chunk.get("citations")) if isinstance(url, str)]
        titles = dict(found)
        # The numbers in the text count `citations` where there are any.
        self._found = [(url, titles.get(url, url)) for url in urls] or found or self._found

    def text(self, text: str) -> None:
        if self._found:
            self._text.append(text)

    def annotations(self) -> Iterator[dict[str, Any]]:
        """One citation for each time that the text points at a source, and one at its end for those it never does.

        Told once: what comes after the first time is another text.
        """
        text, found = "".join(self._text), () if self._told else self._found
        self._told = True
        pointed: dict[int, list[tuple[int, int]]] = {}
        for match in re.finditer(r"\[(\d{1,3})\]", text):
            pointed.setdefault(int(match[1]), []).append(match.span())
        for number, (url, title) in enumerate(found, 1):
            for start, end in pointed.get(number, [(len(text), len(text))]):
                yield _citation(url, title, start, end)


class Executed:
    """Tools that Groq's compound models ran (https://console.groq.com/docs/compound), as hosted calls."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._open: dict[Any, str] = {}
        self.counts: dict[str, int] = {}
        """Calls by the names that prices use."""

    def feed(self, tool: dict[str, Any]) -> None:
        """One tool: its call, its result, or both; streams tell the same tool again when its output is there."""
        index, kind = ("executed", str(tool.get("index"))), str(tool.get("type") or tool.get("name") or "")
        arguments = _arguments(tool.get("arguments"))
        output = tool.get("output")
        if index not in self._open:
            code = kind in ("python", "code_interpreter", "code_execution")
            self._open[index] = name = "code_interpreter" if code else "web_search"
            self.counts[name] = self.counts.get(name, 0) + 1
            if code:
                item: Item = {
                    "type": "code_interpreter_call",
                    "container_id": "",
                    "code": str(arguments.get("code") or ""),
                    "outputs": None,
                }
            elif isinstance(arguments.get("url"), str):
                item = {"type": "web_search_call", "action": {"type": "open_page", "url": arguments["url"]}}
            else:
                query = str(arguments.get("query") or "")
                item = {"type": "web_search_call", "action": {"type": "search", "query": query, "queries": [query]}}
            self._draft.item(index, item)
        if output is not None and self._draft.has(index):
            changes = (
                {"outputs": [{"type": "logs", "logs": str(output)}]} if self._open[index] == "code_interpreter" else {}
            )
            self._draft.close(index, **changes)

    def finish(self) -> None:
        for index in self._open:
            self._draft.close(index)


def _citation(url: Any, title: Any, start: int, end: int) -> dict[str, Any]:
    return {
        "type": "url_citation",
        "url": url if isinstance(url, str) else "",
        "title": title if isinstance(title, str) else "",
        "start_index": start,
        "end_index": end,
    }


def _index(cited: dict[str, Any], name: str) -> int:
    value = cited.get(name)
    return value if isinstance(value, int) and value >= 0 else 0


def _arguments(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = decode(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
