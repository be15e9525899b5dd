"""Frames of a Messages stream -> facts for the draft: https://platform.claude.com/docs/en/build-with-claude/streaming.

A whole message is told block by block through the same functions.
"""

from __future__ import annotations

from typing import Any

from tollbook.errors import UpstreamError
from tollbook.responses.draft import Draft, Stop
from tollbook.responses.seals import seal
from tollbook.responses.types import Request
from tollbook.responses.usage import LONG_WRITES, Usage, cache_lifetimes, count
from tollbook.transport.frame import Frame
from tollbook.transport.wire import decode, encode

from . import hosted
from .conversation import MAKER
from .error import in_band
from .media import Block
from .schema import ANSWER_TOOL
from .shape import mapping, mappings, string

# https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
_STOPS: dict[str, Stop] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
}

_REFUSED = "The model declined to answer this request."

# The provider's everyday tier has another name in Responses.
_TIERS = {"standard": "default"}


def reader(draft: Draft, request: Request) -> MessagesReader:
    """A reader for the answer to `request`."""
    return MessagesReader(draft, request)


class _Open:
    """A content block that is being told."""

    __slots__ = ("block", "citations", "json", "kind", "said", "signature", "start")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.kind = block.get("type")
        self.start = 0
        self.said = False
        self.signature = ""
        self.json: list[str] = []
        self.citations: list[dict[str, Any]] = []


class MessagesReader:
    """Reads one answer."""

    def __init__(self, draft: Draft, request: Request) -> None:
        self._draft = draft
        form = (request.get("text") or {}).get("format")
        self._wants_json = isinstance(form, dict) and form.get("type") == "json_schema"
        self._begun = False
        self._finished = False
        self._open: dict[int, _Open] = {}
        self._usage: dict[str, Any] = {}
        self._reason: str | None = None
        self._explanation: str | None = None
        self._container = ""
        self._calls = 0
        self._ended_call: _Open | None = None
        self._uses: dict[str, Block] = {}
        self._run: list[Block] = []

    def feed(self, frame: Frame) -> None:
        try:
            event = frame.event
        except ValueError as broken:
            raise UpstreamError(f"The upstream sent an event that is not JSON: {broken}.", "server") from None
        if not isinstance(event, dict):
            return
        kind = event.get("type")
        if kind == "error" or frame.type in ("error", "exception"):
            raise in_band(event)
        self._begin()
        match kind:
            case "content_block_delta":
                opened = self._open.get(_index(event))
                if opened is not None:
                    self._delta(opened, mapping(event.get("delta")))
            case "content_block_start":
                self._start(_index(event), mapping(event.get("content_block")))
            case "content_block_stop":
                self._stop(_index(event))
            case "message_start":
                self._message(mapping(event.get("message")))
            case "message_delta":
                self._message(mapping(event.get("delta")))
                self._counted(event.get("usage"))
                self._edited(event.get("context_management"))
            case "message_stop":
                self._finish()
            case _:
                pass  # ping, and whatever comes later

    def whole(self, body: Any) -> None:
        message = mapping(body)
        if message.get("type") == "error":
            raise in_band(message)
        blocks = message.get("content")
        if not isinstance(blocks, list):
            raise UpstreamError("The upstream answered something that is not a message.", "server")
        self._begin()
        self._message(message)
        self._edited(message.get("context_management"))
        for index, block in enumerate(blocks):
            self._start(index, mapping(block))
            self._stop(index)
        self._finish()
        self.end()

    def end(self) -> None:
        self._draft.end()

    # ---------------------------------------------------------------------------------------------------- the message

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._draft.begin()

    def _message(self, message: dict[str, Any]) -> None:
        """Fields of the message as such, told at its start, its end, or at once."""
        self._draft.served(model=string(message.get("model")), upstream_id=string(message.get("id")))
        self._reason = string(message.get("stop_reason")) or self._reason
        self._explanation = string(mapping(message.get("stop_details")).get("explanation")) or self._explanation
        self._container = string(mapping(message.get("container")).get("id")) or self._container
        self._counted(message.get("usage"))

    def _edited(self, management: Any) -> None:
        for edit in mappings(mapping(management).get("applied_edits")):
            self._draft.notes.append(f"context_management: {edit.get('type')} applied")

    def _counted(self, usage: Any) -> None:
        """Counts are cumulative and each field is repeated or corrected on its own: its last value is the truth."""
        told = {name: value for name, value in mapping(usage).items() if value is not None}
        if not told:
            return
        self._usage.update(told)
        self._draft.usage(_tokens(self._usage))
        tier = string(self._usage.get("service_tier"))
        # Fast mode has prices of its own (https://platform.claude.com/docs/en/build-with-claude/fast-mode).
        self._draft.served(tier="fast" if self._usage.get("speed") == "fast" else _TIERS.get(tier, tier))

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        for index in list(self._open):
            self._stop(index)
        stop = _STOPS.get(self._reason, "stop") if self._reason else None
        if stop != "length":
            self._end_call()  # else it may be only half: the draft marks what was last as incomplete
        for use_id, use in self._uses.items():
            self._draft.close(use_id, **hosted.closing(use, None, self._container))
        self._seal_run()
        if self._uses and self._container:
            self._seal({"container": self._container})  # the next request must name it: a program waits in there
        if self._reason == "refusal":
            self._draft.refusal(self._explanation or _REFUSED)
        elif self._reason == "pause_turn":
            self._draft.notes.append("pause_turn: the provider paused; a follow-up continues the answer")
        for step in mappings(self._usage.get("iterations")):
            if step.get("type") != "message":
                # Not in the totals; another model may have done it.
                counts = f"{count(step.get('input_tokens'))} in, {count(step.get('output_tokens'))} out"
                self._draft.notes.append(f"usage.iterations: {step.get('type')} ({counts}) is not in the totals")
        if stop == "tool_calls" and not self._calls:
            stop = "stop"  # only the hidden tool was called
        if stop is not None:
            self._draft.stop(stop)

    # ------------------------------------------------------------------------------------------------------ its blocks

    def _start(self, index: int, block: Block) -> None:
        if index in self._open:
            self._stop(index)
        self._end_call()
        opened = self._open[index] = _Open(block)
        draft = self._draft
        match opened.kind:
            case "text":
                self._seal_run()
                opened.start = draft.position
                draft.text(string(block.get("text")))
                opened.citations.extend(mappings(block.get("citations")))
            case "thinking":
                self._seal_run()
                self._think(opened, string(block.get("thinking")))
                opened.signature = string(block.get("signature"))
            case "redacted_thinking":
                self._seal_run()
                self._seal({"data": block.get("data")})
            case "tool_use":
                self._seal_run()
                self._call(opened)
            case "server_tool_use" | "mcp_tool_use":
                use_id = string(block.get("id"))
                self._use(use_id, block)
            case _:
                pass  # results and what else only Anthropic understands: sealed when complete

    def _use(self, use_id: str, use: Block) -> None:
        """Anthropic runs a tool itself."""
        self._draft.close(use_id)  # nothing is open under a new id
        self._uses[use_id] = use
        item = hosted.opening(use)
        if item is not None:
            self._draft.item(use_id, item)
        else:
            self._draft.notes.append(f"{use.get('name')}: a tool of the provider's own, only sealed")

    def _call(self, opened: _Open) -> None:
        block = opened.block
        name, call_id = string(block.get("name")), string(block.get("id"))
        if name == ANSWER_TOOL and self._wants_json:
            opened.kind = ANSWER_TOOL
            self._draft.text(_given(block))
            return
        caller = mapping(block.get("caller"))
        if caller and caller.get("type") != "direct":
            self._seal({"callers": {call_id: caller}})
        self._calls += 1
        self._draft.call(opened, call_id=call_id, name=name)
        self._draft.arguments(opened, _given(block))

    def _think(self, opened: _Open, thought: str) -> None:
        self._draft.summary(thought, new_part=not opened.said)
        opened.said = opened.said or bool(thought)

    def _delta(self, opened: _Open, delta: dict[str, Any]) -> None:
        match delta.get("type"):
            case "text_delta":
                self._draft.text(string(delta.get("text")))
            case "input_json_delta":
                piece = string(delta.get("partial_json"))
                if opened.kind == "tool_use":
                    self._draft.arguments(opened, piece)
                elif opened.kind == ANSWER_TOOL:
                    self._draft.text(piece)
                else:
                    opened.json.append(piece)
            case "thinking_delta":
                self._think(opened, string(delta.get("thinking")))
            case "signature_delta":
                opened.signature += string(delta.get("signature"))
            case "citations_delta":
                opened.citations.extend(mappings([delta.get("citation")]))
            case _:
                _grow(opened.block, delta)

    def _stop(self, index: int) -> None:
        opened = self._open.pop(index, None)
        if opened is None:
            return
        match opened.kind:
            case "text":
                # A citation comes before the text that it is about; where it ends is only known here.
                for citation in opened.citations:
                    self._draft.annotation(_annotation(citation, opened.start, self._draft.position))
            case "thinking":
                if opened.signature:
                    self._seal({"signature": opened.signature}, apart=not opened.said)
            case "tool_use":
                self._ended_call = opened
            case "redacted_thinking" | "respond_with_json" | None:
                pass
            case _:
                self._opaque(opened)

    def _opaque(self, opened: _Open) -> None:
        """A block that no item can hold: it goes back as it came, in a seal."""
        block = opened.block
        if opened.json:
            try:
                block["input"] = decode("".join(opened.json) or "{}")
            except ValueError:
                block["input"] = {}  # cut off by the limit; the use has no result then
        self._run.append(block)
        if opened.kind in ("server_tool_use", "mcp_tool_use") or "tool_use_id" not in block:
            return
        use_id = string(block["tool_use_id"])
        use = self._uses.pop(use_id, None)
        if use is None:
            use = hosted.use_of(block)
            self._use(use_id, use)
            del self._uses[use_id]
        self._draft.close(use_id, **hosted.closing(use, block, self._container))

    def _end_call(self) -> None:
        if self._ended_call is not None:
            self._draft.close(self._ended_call)
            self._ended_call = None

    def _seal(self, content: dict[str, Any], *, apart: bool = True) -> None:
        self._draft.seal(seal(MAKER, content), apart=apart)

    def _seal_run(self) -> None:
        if self._run:
            self._seal({"blocks": self._run})
            self._run = []


def _grow(block: Block, delta: dict[str, Any]) -> None:
    """A delta of a kind that is not known: texts grow, anything else is set."""
    for name, value in delta.items():
        if name != "type":
            before = block.get(name)
            block[name] = before + value if isinstance(before, str) and isinstance(value, str) else value


def _annotation(citation: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    """OpenAI's annotation for a citation, which stays whole beside it: it must go back with its text.

    https://platform.claude.com/docs/en/build-with-claude/citations
    """
    place = {"start_index": start, "end_index": end, "citation": citation}
    url = citation.get("url") or citation.get("source")
    if url:
        return {"type": "url_citation", "url": url, "title": citation.get("title") or "", **place}
    name = citation.get("document_title") or citation.get("title") or f"document {citation.get('document_index', '')}"
    return {
        "type": "file_citation",
        "file_id": citation.get("file_id") or "",
        "filename": name.strip() if isinstance(name, str) else "",
        "index": end,
        **place,
    }


def _tokens(usage: dict[str, Any]) -> Usage:
    """`input_tokens` is without what the cache held or took, `output_tokens` is with what was thought."""
    lifetimes = mapping(usage.get("cache_creation"))
    hour, longer = cache_lifetimes(lifetimes)
    written = count(usage.get("cache_creation_input_tokens")) or hour + count(
        lifetimes.get("ephemeral_5m_input_tokens")
    )
    hour = min(hour, written)
    output = count(usage.get("output_tokens"))
    thought = min(count(mapping(usage.get("output_tokens_details")).get("thinking_tokens")), output)
    tools = {
        name.removesuffix("_requests"): count(value)
        for name, value in mapping(usage.get("server_tool_use")).items()
        if name.endswith("_requests") and count(value)
    }
    return Usage(
        input=count(usage.get("input_tokens")),
        cache_read=count(usage.get("cache_read_input_tokens")),
        cache_write=written - hour,
        cache_write_1h=hour,
        output=output - thought,
        reasoning=thought,
        tools=tools,
        units={LONG_WRITES: min(longer, hour)} if longer else {},
    )


def _given(block: Block) -> str:
    """The arguments that came with the block's start, as JSON text; "" when they follow in pieces."""
    given = block.get("input")
    return encode(given).decode() if given else ""


def _index(event: dict[str, Any]) -> int:
    index = event.get("index")
    return index if isinstance(index, int) else 0
