"""What Converse answers -> facts for the draft.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html. A block is known by its
`contentBlockIndex` alone: text, reasoning and citations come without a start event. `metadata` follows `messageStop`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from tollbook.dialects.messages.schema import ANSWER_TOOL
from tollbook.errors import UpstreamError
from tollbook.responses.draft import Draft, Stop
from tollbook.responses.seals import seal
from tollbook.responses.types import Request
from tollbook.responses.usage import Usage, count
from tollbook.transport.frame import Frame
from tollbook.transport.wire import decode, encode

from . import failure, families

_STOPS: dict[str, Stop] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}

_MALFORMED = {"malformed_model_output", "malformed_tool_use"}

# Tools that the model's maker runs: the name on the wire -> what it is called in a bill.
_SERVER_TOOLS = {"nova_grounding": "web_search", "nova_code_interpreter": "code_interpreter"}


class _Block:
    """One content block while it grows."""

    __slots__ = ("citations", "kind", "name", "pieces", "seen", "signature", "start", "status", "tool")

    def __init__(self, kind: str, start: int = 0, *, tool: str = "", name: str = "") -> None:
        self.kind = kind
        self.start = start
        self.tool = tool
        self.name = name
        self.pieces: list[str] = []
        self.citations: list[Any] = []
        self.signature = ""
        self.status = ""
        self.seen = False
        """Whether any of its text was told."""


class Reader:
    """Reads a stream, or a whole body as the stream it would have been."""

    def __init__(self, draft: Draft, request: Request) -> None:
        self._draft = draft
        # As the gateway knows it; without one, nothing is known of its family.
        model = str(draft.response.get("model") or "")
        self._maker = families.maker(model)
        form = _object(_object(request.get("text")).get("format"))
        self._by_tool = form.get("type") == "json_schema" and families.answers_by_tool(model)
        self._comment: list[str] = []
        self._begun = False
        self._blocks: dict[int, _Block] = {}
        self._hosted: dict[str, dict[str, Any]] = {}
        self._ended: int | None = None
        self._tools: dict[str, int] = {}
        self._calls = 0
        self._answered = False
        self._said = (0, 0)
        self._failure: UpstreamError | None = None

    # ------------------------------------------------------------------------------------------------------ frames

    def feed(self, frame: Frame) -> None:
        try:
            event = frame.event
        except ValueError as broken:
            raise UpstreamError(f"The upstream sent an event that is not JSON: {broken}.", "server") from None
        if frame.type == "exception":
            raise failure.in_band(event)
        self._begin()
        if not isinstance(event, dict):
            return
        told = event.get("contentBlockIndex")
        index = told if isinstance(told, int) else 0
        if frame.type == "contentBlockDelta":
            self._delta(index, _object(event.get("delta")))
        elif frame.type == "contentBlockStart":
            self._start(index, _object(event.get("start")))
        elif frame.type == "contentBlockStop":
            self._stop_block(index)
        elif frame.type == "messageStop":
            self._stop(event.get("stopReason"))
        elif frame.type == "metadata":
            self._metadata(event)

    def whole(self, body: Any) -> None:
        message = _object(_object(body).get("output")).get("message")
        if not isinstance(message, dict):
            raise UpstreamError("The upstream answered something that is not a Converse response.", "server")
        self._begin()
        for index, block in enumerate(_list(message.get("content"))):
            for kind, part in _as_stream(_object(block)):
                (self._start if kind == "start" else self._delta)(index, part)
            self._stop_block(index)
        self._stop(body.get("stopReason"))
        self._metadata(body)
        self.end()

    def end(self) -> None:
        for index in list(self._blocks):
            self._stop_block(index)
        for identifier, changes in self._hosted.items():
            self._draft.close(identifier, **changes)
        self._hosted.clear()
        if self._failure is not None:
            raise self._failure
        self._draft.end()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._draft.begin()

    # ------------------------------------------------------------------------------------------------------ blocks

    def _start(self, index: int, start: dict[str, Any]) -> None:
        self._stop_block(index)
        self._close_call()
        if isinstance(start.get("toolUse"), dict):
            self._blocks[index] = self._use(index, start["toolUse"])
        elif isinstance(start.get("toolResult"), dict):
            result = start["toolResult"]
            self._blocks[index] = block = _Block("result", tool=str(result.get("toolUseId")))
            block.status = str(result.get("status") or "")
        elif "image" in start:
            self._blocks[index] = _Block("image")
            self._draft.item(index, {"type": "image_generation_call", "result": None})

    def _use(self, index: int, use: dict[str, Any]) -> _Block:
        name, identifier = str(use.get("name") or ""), str(use.get("toolUseId") or f"call_{index}")
        if use.get("type") == "server_tool_use":
            sort = _SERVER_TOOLS.get(name) if identifier not in self._hosted else None
            if sort == "web_search":
                self._draft.item(identifier, {"type": "web_search_call", "action": {"type": "search", "query": ""}})
            elif sort == "code_interpreter":
                item = {"type": "code_interpreter_call", "container_id": identifier, "code": "", "outputs": None}
                self._draft.item(identifier, item)
            else:
                self._draft.notes.append(f"server tool {name}: left out")
            if sort is not None:
                self._hosted[identifier] = {}
                self._tools[sort] = self._tools.get(sort, 0) + 1
            return _Block("server", tool=identifier, name=name)
        if name == ANSWER_TOOL and self._by_tool:
            self._answered = True
            # What was said before is about the answer, not part of it: the client parses the text as JSON.
            self._draft.summary("".join(self._comment))
            self._comment.clear()
            return _Block("answer")
        self._say()
        self._calls += 1
        self._draft.call(index, call_id=identifier, name=name)
        return _Block("call")

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        block = self._blocks.get(index)
        if block is None:
            self._close_call()
            block = self._blocks[index] = _Block("text", self._draft.position)
        text = delta.get("text")
        if isinstance(text, str):
            block.seen = block.seen or bool(text)
            if self._by_tool:
                self._comment.append(text)
            else:
                self._draft.text(text)
        elif isinstance(delta.get("toolUse"), dict):
            self._input(index, block, delta["toolUse"].get("input"))
        elif isinstance(delta.get("reasoningContent"), dict):
            self._thought(block, delta["reasoningContent"])
        elif isinstance(delta.get("citation"), dict):
            block.citations.append(delta["citation"])
        elif isinstance(delta.get("toolResult"), list):
            self._results(block, delta["toolResult"])
        elif isinstance(delta.get("image"), dict):
            data = _object(delta["image"].get("source")).get("bytes")
            block.pieces.append(data if isinstance(data, str) else "")

    def _say(self) -> None:
        """The text that was kept until it was known not to go before an answer by tool."""
        self._draft.text("".join(self._comment))
        self._comment.clear()

    def _input(self, index: int, block: _Block, fragment: Any) -> None:
        """A piece of JSON text in a stream, the value itself in a whole answer."""
        text = fragment if isinstance(fragment, str) else "" if fragment is None else encode(fragment).decode()
        if block.kind == "answer":
            self._draft.text(text)
        elif block.kind == "server":
            block.pieces.append(text)
        elif block.kind == "call":
            self._draft.arguments(index, text)

    def _thought(self, block: _Block, thought: dict[str, Any]) -> None:
        thought = {**thought, **_object(thought.get("reasoningText"))}
        text, signature, redacted = thought.get("text"), thought.get("signature"), thought.get("redactedContent")
        if isinstance(text, str) and text:
            self._draft.summary(text, new_part=not block.seen)
            block.seen = True
        if isinstance(signature, str):
            block.signature += signature
        if block.kind in ("text", "thought"):
            block.kind = "thought" if redacted is None else "redacted"
        if isinstance(redacted, str) and block.kind == "redacted":
            block.pieces.append(redacted)

    def _results(self, block: _Block, results: list[Any]) -> None:
        """What a server tool found. Of code, what it printed; search results are hidden by their maker."""
        changes = self._hosted.get(block.tool)
        if changes is None:
            return
        outputs = changes.get("outputs", [])
        for result in results:
            told = _object(_object(result).get("json"))
            outputs += [
                {"type": "logs", "logs": told[name]}
                for name in ("stdOut", "stdErr")
                if isinstance(told.get(name), str) and told[name]
            ]
        if outputs:
            changes["outputs"] = outputs

    # ----------------------------------------------------------------------------------------------- ends of blocks

    def _stop_block(self, index: int) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.kind == "text":
            self._cite(block)
        elif block.kind == "call":
            self._ended = index
        elif block.kind == "thought" and block.signature:
            # In the same words as the messages dialect: a signature of Claude is good there, and the other way round.
            self._draft.seal(seal(self._maker, {"signature": block.signature}), apart=not block.seen)
        elif block.kind == "redacted":
            self._redacted(block)
        elif block.kind == "server":
            self._searched(block)
        elif block.kind == "result" and block.tool in self._hosted:
            status = "failed" if block.status == "error" else "completed"
            self._draft.close(block.tool, status=status, **self._hosted.pop(block.tool))
        elif block.kind == "image":
            self._draft.close(index, result="".join(block.pieces))

    def _close_call(self) -> None:
        """The call that ended last is whole, because something came after it; else the token limit may have cut it."""
        if self._ended is not None:
            self._draft.close(self._ended)
            self._ended = None

    def _cite(self, block: _Block) -> None:
        """Citations of Claude come before the text of their own block, those of Nova in a block after the text."""
        if block.seen:
            self._said = (block.start, self._draft.position)
        for citation in block.citations:
            self._draft.annotation(_annotation(citation, *self._said))

    def _redacted(self, block: _Block) -> None:
        """Bedrock wraps Anthropic's `data` (text already) once more as bytes; the seal holds what Anthropic itself sends."""
        try:
            data = b"".join(base64.b64decode(piece) for piece in block.pieces).decode()
        except (binascii.Error, UnicodeDecodeError):
            self._draft.notes.append("redacted reasoning: left out")
            return
        self._draft.seal(seal(self._maker, {"data": data}), apart=True)

    def _searched(self, block: _Block) -> None:
        try:
            told = _object(decode("".join(block.pieces) or "{}"))
        except ValueError:
            told = {}
        if block.tool not in self._hosted:
            return
        changes = self._hosted[block.tool]
        if _SERVER_TOOLS.get(block.name) == "web_search":
            changes["action"] = {"type": "search", "query": str(told.get("query") or "")}
        else:
            changes["code"] = str(told.get("snippet") or "")

    # --------------------------------------------------------------------------------------------------------- end

    def _stop(self, told: Any) -> None:
        reason = str(told)
        self._say()
        for index in list(self._blocks):
            if self._blocks[index].kind != "call":
                self._stop_block(index)
        if reason in _MALFORMED:
            # Raised at the end, because the tokens of it are still to come.
            self._failure = UpstreamError(f"The model's output was not usable ({reason}).", "server")
        stop = _STOPS.get(reason, "stop")
        if stop != "length":
            self._close_call()
        if stop == "tool_calls" and self._answered and not self._calls:
            stop = "stop"
        self._draft.stop(stop)

    def _metadata(self, event: dict[str, Any]) -> None:
        router = _object(_object(event.get("trace")).get("promptRouter"))
        invoked = str(router.get("invokedModelId") or "").rpartition("/")[2]
        self._draft.served(model=invoked, tier=_object(event.get("serviceTier")).get("type"))
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._draft.usage(read_usage(usage, self._tools))


def read_usage(usage: dict[str, Any], tools: dict[str, int]) -> Usage:
    """`inputTokens` excludes what was read from and written to the cache; reasoning is not told apart from output."""
    written = count(usage.get("cacheWriteInputTokens")) or count(usage.get("cacheWriteInputTokenCount"))
    details = map(_object, _list(usage.get("cacheDetails")))
    longer = min(sum(count(detail.get("inputTokens")) for detail in details if detail.get("ttl") == "1h"), written)
    return Usage(
        input=count(usage.get("inputTokens")),
        cache_read=count(usage.get("cacheReadInputTokens")) or count(usage.get("cacheReadInputTokenCount")),
        cache_write=written - longer,
        cache_write_1h=longer,
        output=count(usage.get("outputTokens")),
        tools=dict(tools),
    )


def _as_stream(block: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The start and the deltas that this whole block would have come as."""
    if isinstance(block.get("toolUse"), dict):
        yield "start", {"toolUse": block["toolUse"]}
        yield "delta", {"toolUse": {"input": block["toolUse"].get("input")}}
    elif isinstance(block.get("toolResult"), dict):
        yield "start", {"toolResult": block["toolResult"]}
        yield "delta", {"toolResult": block["toolResult"].get("content")}
    elif isinstance(block.get("citationsContent"), dict):
        cited = block["citationsContent"]
        for part in _list(cited.get("content")):
            yield "delta", {"text": _object(part).get("text")}
        for citation in _list(cited.get("citations")):
            yield "delta", {"citation": citation}
    elif isinstance(block.get("image"), dict):
        yield "start", {"image": {}}
        yield "delta", {"image": block["image"]}
    else:
        yield "delta", block


def _annotation(citation: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    """A web page (or a search result with an address) as `url_citation`, a document as `file_citation`."""
    location = _object(citation.get("location"))
    url = _object(location.get("web")).get("url") or citation.get("source") or ""
    title = str(citation.get("title") or _object(location.get("web")).get("domain") or "")
    if str(url).startswith(("http://", "https://")):
        return {"type": "url_citation", "url": url, "title": title, "start_index": start, "end_index": end}
    name = title or str(url)
    return {
        "type": "file_citation",
        "file_id": "",
        "filename": name,
        "index": end,
        "start_index": start,
        "end_index": end,
    }


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
