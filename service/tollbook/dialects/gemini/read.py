"""The chunks of an answer -> facts for the draft."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Literal

from tollbook.errors import UpstreamError
from tollbook.responses.draft import Draft, Stop
from tollbook.responses.types import Request
from tollbook.transport.frame import Frame
from tollbook.transport.wire import encode

from . import fault, generations, tokens
from .arguments import PartialArguments
from .grounding import Grounding, texts
from .history import MADE_CALL
from .signatures import seal

# https://ai.google.dev/api/generate-content#FinishReason; Vertex adds MODEL_ARMOR.
_FILTERED = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)
_BROKEN = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"}
    | {"MISSING_THOUGHT_SIGNATURE"}
)
_SERVER_PARTS = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")
_SEARCHES = frozenset({"GOOGLE_SEARCH_WEB", "GOOGLE_SEARCH_IMAGE", "GOOGLE_MAPS"})

_OFTEN = 8
"""Chunks after which the tokens so far are told again. Each chunk has them, and only a client that leaves in the middle
makes these the last ones: telling all would cost as much as reading the text."""

_Run = Literal["", "thought", "sealed", "text", "call", "server", "image", "audio"]
"""What was told last: it decides where a signature can be kept, and whether a part goes on from the one before."""


def reader(draft: Draft, request: Request) -> Reader:  # noqa: ARG001 - the chunks say all that is needed
    """See `tollbook.dialects.Dialect.reader`."""
    return Reader(draft)


class Reader:
    """Reads one answer; see `tollbook.dialects.Reader`. Of several candidates the first one is the answer."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._begun = False
        self._run: _Run = ""
        self._finish: str | None = None
        self._finish_message: str | None = None
        self._blocked: str | None = None
        self._model = ""
        self._identity: tuple[Any, ...] = ()
        self._metadata: dict[str, Any] = {}
        self._untold = _OFTEN
        self._counted: dict[str, int] = {}
        self._grounded = 0
        """Searches that were counted by their grounding alone."""
        self._grounding = Grounding()
        self._hosted: set[str] = set()
        """Types of the hosted calls that were told."""
        self._said: list[str] = []
        """Visible text so far, all of it."""
        self._length = 0
        self._open_from = 0
        """Where in it the open message begins."""
        self._late: list[dict[str, Any]] = []
        """Seals for the open message that came after its beginning."""
        self._parts: list[dict[str, Any]] = []
        """The present run of server-side parts, to be sealed."""
        self._open: list[tuple[str, str]] = []
        """Key and type of the hosted calls that wait for their result."""
        self._run_calls = 0
        self._audio: list[bytes] = []
        self._audio_type = ""
        self._calls = 0
        self._partial: PartialArguments | None = None

    # ----------------------------------------------------------------------------------------------------- the dialect

    def feed(self, frame: Frame) -> None:
        if frame.raw == b"[DONE]":
            # Gemini has no end marker; some proxies in front of it add OpenAI's.
            return
        try:
            chunk = frame.event
        except ValueError as error:
            raise UpstreamError(f"Gemini sent what is not JSON: {error}", "server") from None
        self._chunks(chunk)

    def whole(self, body: Any) -> None:
        self._chunks(body)
        if self._finish is None and self._blocked is None:
            if self._run == "":
                raise UpstreamError("Gemini answered without any candidate.", "server")
            # A body that is here whole was not cut, even if it does not say why the model stopped.
            self._finish = "STOP"
        self.end()

    def end(self) -> None:
        if self._draft.done:
            return
        self._leave("")
        self._tell_searches()
        self._tell_usage()
        if self._finish is not None or self._blocked is not None:
            self._draft.stop(self._stop())
        self._draft.end()

    # --------------------------------------------------------------------------------------------------------- a chunk

    def _chunks(self, value: Any) -> None:
        for chunk in value if isinstance(value, list) else [value]:
            self._chunk(chunk)

    def _chunk(self, chunk: Any) -> None:
        found = fault.find(chunk)
        if found is not None:
            self._tell_usage()
            raise fault.fault(found)
        if not isinstance(chunk, dict):
            raise UpstreamError("Gemini sent what is not a chunk of an answer.", "server")
        if not self._begun:
            self._begun = True
            self._draft.begin()
        self._identify(chunk)
        feedback = chunk.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._blocked = str(feedback["blockReason"])
            self._draft.notes.append(f"prompt blocked: {feedback.get('blockReasonMessage') or self._blocked}")
        candidates = chunk.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            if isinstance(candidate, dict) and not candidate.get("index"):
                self._candidate(candidate)
            else:
                self._note("candidates: only the first is told")

    def _identify(self, chunk: dict[str, Any]) -> None:
        model, response_id, metadata = chunk.get("modelVersion"), chunk.get("responseId"), chunk.get("usageMetadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        identity = (model, response_id, metadata.get("serviceTier"), metadata.get("trafficType"))
        if identity != self._identity:
            self._identity = identity
            self._model = model if isinstance(model, str) and model else self._model
            self._draft.served(
                model=self._model or None,
                tier=tokens.tier(metadata),
                upstream_id=response_id if isinstance(response_id, str) else None,
            )
        # Vertex tells only the traffic type until the last chunk.
        if not tokens.TOTALS.isdisjoint(metadata):
            self._metadata.update(metadata)
            self._untold += 1
            if self._untold > _OFTEN:
                self._tell_usage()

    def _tell_usage(self) -> None:
        if self._metadata:
            self._untold = 1
            self._draft.usage(tokens.usage(self._metadata, self._counted))

    def _candidate(self, candidate: dict[str, Any]) -> None:
        if "groundingMetadata" in candidate or "urlContextMetadata" in candidate:
            self._grounding.add(candidate)
        if self._run == "":
            self._tell_searches()
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        logprobs = _logprobs(candidate["logprobsResult"]) if "logprobsResult" in candidate else []
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                logprobs = self._part(part, logprobs)
        if isinstance(candidate.get("finishReason"), str):
            self._finish = candidate["finishReason"]
            self._finish_message = candidate.get("finishMessage") or self._finish_message

    # ---------------------------------------------------------------------------------------------------------- a part

    def _part(self, part: dict[str, Any], logprobs: list[Any]) -> list[Any]:
        """Tell one part. Answers the log probabilities that are still to be told with a text."""
        signature = part.get("thoughtSignature")
        signature = signature if isinstance(signature, str) and signature else None
        text = part.get("text")
        if isinstance(text, str) and not part.get("thought"):
            return self._text(text, signature, logprobs)
        if part.get("thought") is True and not isinstance(part.get("inlineData"), dict):
            self._thought(text, signature)
        elif isinstance(part.get("functionCall"), dict):
            self._call(part["functionCall"], signature)
        elif any(isinstance(part.get(name), dict) for name in _SERVER_PARTS):
            self._server(part)
        elif isinstance(part.get("inlineData"), dict):
            self._data(part["inlineData"], signature, thought=part.get("thought") is True)
        elif signature:
            self._text("", signature, [])
        elif part.get("fileData"):
            self._note("fileData: left out")
        return logprobs

    def _thought(self, text: Any, signature: str | None) -> None:
        if isinstance(text, str) and text:
            self._leave("thought")
            self._draft.summary(text)
        if signature:
            self._seal({"for": "thought", "signature": signature})

    def _text(self, text: str, signature: str | None, logprobs: list[Any]) -> list[Any]:
        if not text and not signature:
            return logprobs
        if signature and self._run == "text":
            start = self._length - self._open_from
            self._late.append({"for": "said", "signature": signature, "span": [start, start + len(text)]})
        elif signature:
            self._seal({"for": "text", "signature": signature, "span": [0, len(text)]})
        if not text:
            return logprobs
        if self._run != "text":
            self._leave("text")
            self._open_from = self._length
        self._draft.text(text, logprobs or None)
        self._said.append(text)
        self._length += len(text)
        return []

    def _call(self, call: dict[str, Any], signature: str | None) -> None:
        name = call.get("name")
        if isinstance(name, str) and name:
            self._close_call()
            if self._run != "thought":
                self._leave("call")
            key = f"call-{self._calls}"
            call_id = call.get("id")
            if not isinstance(call_id, str) or not call_id:
                call_id = f"{MADE_CALL}{self._draft.response['id'].rpartition('_')[2][-40:]}_{self._calls}"
            self._calls += 1
            if signature:
                self._seal({"for": "call", "signature": signature, "call_id": call_id})
            self._draft.call(key, call_id=call_id, name=name)
            self._run = "call"
            self._partial = PartialArguments(key)
        if self._partial is None:
            return
        arguments = call.get("args")
        if isinstance(arguments, dict):
            self._partial.value.update(arguments)
        fragments = call.get("partialArgs")
        for fragment in fragments if isinstance(fragments, list) else ():
            if isinstance(fragment, dict):
                self._partial.add(fragment)
        if call.get("willContinue") is not True:
            self._close_call()

    def _close_call(self) -> None:
        """Vertex may stream arguments by JSON path, and the last fragment can be missing: they are told when complete."""
        if self._partial is not None:
            partial, self._partial = self._partial, None
            self._draft.arguments(partial.key, encode(partial.value).decode())
            self._draft.close(partial.key)

    def _server(self, part: dict[str, Any]) -> None:
        """A part of a tool that Gemini runs: told as a hosted call, kept word for word in a seal."""
        self._leave("server")
        self._parts.append(part)
        code, result = part.get("executableCode"), part.get("codeExecutionResult")
        call, answer = part.get("toolCall"), part.get("toolResponse")
        if isinstance(code, dict):
            item = {"code": str(code.get("code") or ""), "container_id": "", "outputs": None}
            self._begin_hosted(self._key(code), "code_interpreter_call", item)
        elif isinstance(result, dict):
            failed = result.get("outcome") not in (None, "OUTCOME_OK", "OUTCOME_UNSPECIFIED")
            outputs = [{"type": "logs", "logs": str(result.get("output") or "")}]
            changes: dict[str, Any] = {"outputs": outputs, "status": "failed" if failed else "completed"}
            self._end_hosted(self._match(result, "code_interpreter_call"), changes)
        elif isinstance(call, dict):
            self._tool_call(call)
        elif isinstance(answer, dict):
            self._end_hosted(self._match(answer, None), {})

    def _tool_call(self, call: dict[str, Any]) -> None:
        kind = str(call.get("toolType"))
        arguments = call.get("args")
        arguments = arguments if isinstance(arguments, dict) else {}
        queries = texts(arguments.get("queries"))
        if kind == "FILE_SEARCH":
            self._begin_hosted(self._key(call), "file_search_call", {"queries": queries, "results": None})
        elif kind == "URL_CONTEXT":
            urls = texts(arguments.get("urls"))
            page = {"type": "open_page", "url": urls[0] if urls else ""}
            self._begin_hosted(self._key(call), "web_search_call", {"action": page}, counted=False)
        elif kind in _SEARCHES:
            action = {"type": "search", "query": queries[0] if queries else "", "queries": queries}
            self._begin_hosted(self._key(call), "web_search_call", {"action": action}, times=len(queries) or 1)
        else:
            self._note(f"toolCall {kind}: left out")

    def _key(self, part: Mapping[str, Any]) -> str:
        return f"hosted-{part.get('id') or self._run_calls}"

    def _match(self, answer: Mapping[str, Any], kind: str | None) -> str | None:
        """The call that a result belongs to: by id, or else the oldest of its kind."""
        wanted = f"hosted-{answer['id']}" if answer.get("id") else None
        for key, item_type in self._open:
            if key == wanted or (wanted is None and kind in (None, item_type)):
                return key
        return None

    def _begin_hosted(
        self, key: str, kind: str, fields: dict[str, Any], *, times: int = 1, counted: bool = True
    ) -> None:
        if self._draft.has(key):
            self._end_hosted(key, {})
        self._draft.item(key, {"type": kind, **fields})
        self._open.append((key, kind))
        self._hosted.add(kind)
        self._run_calls += 1
        if counted:
            if kind == "web_search_call":
                # A whole answer tells a search by its grounding first, and then by its call: it is paid for once.
                told = min(times, self._grounded)
                self._grounded -= told
                times -= told
            self._count(kind.removesuffix("_call"), times)

    def _end_hosted(self, key: str | None, changes: dict[str, Any]) -> None:
        if key is not None:
            self._draft.close(key, **changes)
            self._open = [entry for entry in self._open if entry[0] != key]

    def _count(self, tool: str, times: int) -> None:
        self._counted[tool] = self._counted.get(tool, 0) + times

    def _data(self, blob: dict[str, Any], signature: str | None, *, thought: bool) -> None:
        kind, data = str(blob.get("mimeType") or ""), blob.get("data")
        if not isinstance(data, str) or not data:
            return
        if thought:
            self._note("thought image: left out")
        elif kind.startswith("audio/"):
            self._leave("audio")
            try:
                self._audio.append(base64.b64decode(data))
            except (binascii.Error, ValueError):
                raise UpstreamError("Gemini sent audio that is not base64.", "server") from None
            self._audio_type = self._audio_type or kind
        elif kind.startswith("image/"):
            if signature:
                self._seal({"for": "image", "signature": signature})
            self._leave("image")
            form = kind.removeprefix("image/").partition(";")[0]
            self._draft.item("image", {"type": "image_generation_call", "result": None, "output_format": form})
            self._draft.close("image", result=data)
            self._count("image_generation", 1)
        else:
            self._note(f"{kind or 'inlineData'}: left out")

    # ------------------------------------------------------------------------------------------------------- transitions

    def _seal(self, content: dict[str, Any]) -> None:
        """On the reasoning item that is open, or as an item of its own."""
        if self._run == "thought":
            self._draft.seal(seal(content))
            self._run = "sealed"
        else:
            self._leave("sealed")
            self._draft.seal(seal(content), apart=True)

    def _leave(self, run: _Run) -> None:
        """Go over to another run: what the old one held back is told."""
        old, self._run = self._run, run
        if old == run:
            return
        self._close_call()
        if old == "text":
            self._annotate(last=run == "")
            for content in self._late:
                self._draft.seal(seal(content), apart=True)
            self._late = []
        elif old == "server":
            for key, _ in list(self._open):
                self._end_hosted(key, {})
            self._draft.seal(seal({"for": "parts", "parts": self._parts, "items": self._run_calls}), apart=True)
            self._parts, self._run_calls = [], 0
        elif old == "audio":
            part = {"type": "output_audio", "data": base64.b64encode(b"".join(self._audio)).decode(), "transcript": ""}
            part["mime_type"] = self._audio_type
            self._draft.item("audio", {"type": "message", "role": "assistant", "content": [part]})
            self._draft.close("audio")
            self._audio, self._audio_type = [], ""

    # -------------------------------------------------------------------------------------------------------- the end

    def _annotate(self, *, last: bool) -> None:
        """Citations, while the message that they belong to is open; with the last one, all that are left."""
        for annotation in self._grounding.annotations("".join(self._said), self._open_from, last=last):
            self._draft.annotation(annotation)

    def _tell_searches(self) -> None:
        """Calls that only the grounding tells of: first, where OpenAI has them, if the grounding is known by then."""
        for number, item in enumerate(list(self._grounding.calls(self._hosted))):
            key = f"grounding-{number}"
            self._draft.item(key, item)
            self._draft.close(key)
            self._hosted.add(item["type"])
            if item["type"] == "file_search_call":
                self._count("file_search", 1)
            elif item["action"]["type"] == "search":
                self._count("web_search", self._searches)
                self._grounded += self._searches

    @property
    def _searches(self) -> int:
        """From Gemini 3 on each query is billed, before it the grounded prompt
        (https://ai.google.dev/gemini-api/docs/pricing)."""
        every = generations.version(self._model) >= (3, 0)
        return max(1, sum(map(bool, self._grounding.queries))) if every else 1

    def _stop(self) -> Stop:
        reason = self._finish
        if reason is None or reason in _FILTERED:
            return "content_filter"
        if reason == "MAX_TOKENS":
            return "length"
        if reason in _BROKEN and not self._calls:
            message = self._finish_message or f"Gemini stopped: {reason}."
            raise UpstreamError(str(message), "server", code=reason.lower())
        if reason not in ("STOP", "FINISH_REASON_UNSPECIFIED"):
            self._note(f"finish reason {reason}")
        return "tool_calls" if self._calls else "stop"

    def _note(self, note: str) -> None:
        if note not in self._draft.notes:
            self._draft.notes.append(note)


def _logprobs(result: Any) -> list[Any]:
    """logprobsResult -> OpenAI's log probabilities of a text part."""
    if not isinstance(result, dict):
        return []
    chosen, top = result.get("chosenCandidates"), result.get("topCandidates")
    rows = top if isinstance(top, list) else []
    found = []
    for index, token in enumerate(chosen if isinstance(chosen, list) else ()):
        if not isinstance(token, dict):
            continue
        row = rows[index] if index < len(rows) and isinstance(rows[index], dict) else {}
        others = row.get("candidates")
        alternatives = [_token(t) for t in (others if isinstance(others, list) else ()) if isinstance(t, dict)]
        found.append({**_token(token), "top_logprobs": alternatives})
    return found


def _token(token: dict[str, Any]) -> dict[str, Any]:
    text = str(token.get("token") or "")
    value = token.get("logProbability")
    return {
        "token": text,
        "logprob": value if isinstance(value, (int, float)) else 0.0,
        "bytes": list(text.encode("utf-8", "surrogatepass")),
    }
