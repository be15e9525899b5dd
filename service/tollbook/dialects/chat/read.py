"""Chat Completions answers -> facts for the draft. A whole answer is one chunk whose delta is the message."""

from __future__ import annotations

from typing import Any

from tollbook.errors import UpstreamError
from tollbook.responses.draft import Draft, Stop
from tollbook.responses.seals import seal
from tollbook.transport.frame import Frame

from .calls import Calls
from .extras import Executed, Sources, annotation_of, image_item
from .manner import Manner
from .reasoning import DETAILS, SIGNATURE, Details, ThinkTags, text_of
from .refused import refusal
from .tokens import read_usage

_STOPS: dict[str, Stop] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",  # Mistral: the context is full
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",  # Z.ai
    "safety": "content_filter",
    "recitation": "content_filter",
}
"""Finish reasons with a meaning of their own. Others ("stop", "eos", "end_turn", "") are an ordinary end."""

_PLAIN = frozenset({"role", "content"})
"""Members of most deltas."""

_FAILURES = {
    "error": "server",  # OpenRouter, Mistral
    "network_error": "server",  # Z.ai
    "insufficient_system_resource": "overloaded",  # DeepSeek
}


class ChatReader:
    """Reads one answer in the manner of its host."""

    def __init__(self, draft: Draft, manner: Manner) -> None:
        self._draft = draft
        self._manner = manner
        self._began = False
        self._ended = False
        """`[DONE]` came: some hosts (Snowflake) give no finish reason at all."""
        self._calls = Calls(draft)
        self._details = Details()
        self._thoughts: list[str] = []
        """Reasoning text that is not sealed yet."""
        self._tags = ThinkTags() if manner.think_tags else None
        self._sources = Sources()
        self._annotations: list[dict[str, Any]] = []
        self._executed = Executed(draft)
        self._usage: dict[str, Any] = {}
        self._cost: Any = None
        self._images = 0
        self._server: tuple[Any, Any] = (None, None)
        """The model and the tier that were told last."""

    # ------------------------------------------------------------------------------------------------- the protocol

    def feed(self, frame: Frame) -> None:
        try:
            chunk = frame.event
        except ValueError as error:
            if frame.raw.strip() == b"[DONE]":
                self._ended = True
                return
            raise UpstreamError(f"The upstream sent an event that is not JSON: {error}", "server") from None
        self._chunk(chunk, "delta", "message", failed=frame.type == "error")

    def whole(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise UpstreamError("The upstream's answer is not a JSON object.", "server")
        self._chunk(body, "message", "delta", failed=False)
        if not self._began or not isinstance(body.get("choices"), list):
            raise UpstreamError("The upstream's answer holds no choices.", "server")
        self._ended = True
        self.end()

    def end(self) -> None:
        if self._ended and not self._began:
            raise UpstreamError("The upstream ended its stream without an answer.", "server")
        if self._began:
            self._finish_text()
            self._seal()
        self._calls.finish()
        self._executed.finish()
        if self._annotations:
            self._note("annotations: left out (no text)")
        if self._draft.stopped is None and self._ended:
            self._stop("")
        self._draft.end()

    # ------------------------------------------------------------------------------------------------------- chunks

    def _chunk(self, chunk: Any, first: str, second: str, *, failed: bool) -> None:
        """One chunk, or a whole body; `first` and `second` name where its choices hold what was said."""
        if not isinstance(chunk, dict):
            # Gemini wraps errors in a list.
            chunk = next((c for c in _list(chunk) if isinstance(c, dict)), None)
            if chunk is None:
                return
        if failed or chunk.get("error") or chunk.get("object") == "error":
            raise refusal(chunk)
        if not self._began:
            self._began = True
            self._draft.begin()
        self._served(chunk)
        if "citations" in chunk or "search_results" in chunk:
            self._sources.feed(chunk)
        for choice in _list(chunk.get("choices")):
            if not isinstance(choice, dict):
                continue
            if choice.get("index"):  # n > 1: a Response holds one answer
                self._note("choices: only the first is kept")
                continue
            said = choice.get(first)
            if not isinstance(said, dict):
                said = choice.get(second)
            if isinstance(said, dict):
                self._said(said, _logprobs(choice) if choice.get("logprobs") else None)
            elif first == "message" and isinstance(choice.get("text"), str):
                self._text(choice["text"], None)  # the legacy form of a completion
            if isinstance(choice.get("usage"), dict):  # Moonshot
                self._usage = choice["usage"]
            if choice.get("finish_reason") or first == "message" or "finish_details" in choice:
                self._finished(choice, whole=first == "message")
        self._tokens(chunk)

    def _served(self, chunk: dict[str, Any]) -> None:
        model, tier, identifier = chunk.get("model"), chunk.get("service_tier"), chunk.get("id")
        if (model, tier) == self._server and (self._draft.upstream_id or not identifier):
            return
        self._server = (model, tier)
        self._draft.served(
            model=model if isinstance(model, str) else None,
            # Groq's name for its default tier
            tier=("default" if tier == "on_demand" else tier) if isinstance(tier, str) else None,
            upstream_id=identifier if isinstance(identifier, str) and not self._draft.upstream_id else None,
        )

    def _said(self, said: dict[str, Any], logprobs: list[Any] | None) -> None:
        plain = said.keys() <= _PLAIN
        if not plain:
            self._thought(said)
        content = said.get("content")
        if isinstance(content, str):
            self._text(content, logprobs)
        else:
            for part in _list(content):
                self._content_part(part)
        if self._annotations:
            self._annotate()
        if not plain:
            self._beside(said)

    def _beside(self, said: dict[str, Any]) -> None:
        """What a delta says beside text and reasoning."""
        refused = said.get("refusal")
        if isinstance(refused, str) and refused:
            self._seal()
            self._draft.refusal(refused)
        audio = said.get("audio")
        if isinstance(audio, dict) and audio.get("transcript") and not said.get("content"):
            self._text(str(audio["transcript"]), None)
            self._note("audio: left out, its transcript is the text")
        for annotation in _list(said.get("annotations")):
            cited = annotation_of(annotation)
            if cited is not None:
                self._annotations.append(cited)
            else:
                self._note(f"annotations.{_dict(annotation).get('type')}: left out")
        self._annotate()
        for image in _list(said.get("images")):
            self._image(image)
        for tool in _list(said.get("executed_tools")):
            if isinstance(tool, dict):
                self._seal()
                self._executed.feed(tool)
        calls = [c for c in _list(said.get("tool_calls")) if isinstance(c, dict)]
        legacy = said.get("function_call")
        if isinstance(legacy, dict) and (legacy.get("name") or legacy.get("arguments")):
            calls.append({"index": 0, "function": legacy})
        for call in calls:
            self._call(call)

    def _note(self, note: str) -> None:
        if note not in self._draft.notes:
            self._draft.notes.append(note)

    def _content_part(self, part: Any) -> None:
        """Mistral answers in parts; `reference` parts only point at documents of the request."""
        if isinstance(part, str):
            self._text(part, None)
        elif isinstance(part, dict):
            match part.get("type"):
                case "thinking":
                    inner = part.get("thinking")
                    pieces = [inner] if isinstance(inner, str) else [_dict(p).get("text") for p in _list(inner)]
                    self._reason("".join(p for p in pieces if isinstance(p, str)))
                case "text" | "output_text":
                    self._text(part.get("text"), None)
                case "image_url":
                    self._image(part)
                case "refusal" if isinstance(part.get("refusal"), str):
                    self._seal()
                    self._draft.refusal(part["refusal"])

    def _text(self, text: Any, logprobs: list[Any] | None) -> None:
        if not isinstance(text, str) or not text:
            return
        if self._tags is not None:
            thought, text = self._tags.feed(text)
            self._reason(thought)
        if text:
            if self._thoughts or self._details:
                self._seal()
            self._sources.text(text)
            self._draft.text(text, logprobs)

    def _finish_text(self) -> None:
        if self._tags is not None:
            thought, text = self._tags.flush()
            self._reason(thought)
            if text:
                self._seal()
                self._draft.text(text)
        if self._draft.position:
            self._annotations.extend(self._sources.annotations())
        self._annotate()

    def _annotate(self) -> None:
        """An annotation belongs to a text; it waits until there is one."""
        if self._draft.position:
            for annotation in self._annotations:
                self._draft.annotation(annotation)
            self._annotations.clear()

    def _image(self, image: Any) -> None:
        item = image_item(image)
        if item is not None:
            self._seal()
            self._images += 1
            key = ("image", self._images)
            self._draft.item(key, item)
            self._draft.close(key)

    # ---------------------------------------------------------------------------------------------------- reasoning

    def _thought(self, said: dict[str, Any]) -> None:
        details = [d for d in _list(said.get("reasoning_details")) if isinstance(d, dict)]
        text, is_summary = text_of(said, details)
        if is_summary and text:
            self._draft.summary(text, new_part=self._details.begins_part(details))
            self._thoughts.append(text)
        else:
            self._reason(text)
        self._details.feed(details)
        self._signature(said, None)

    def _reason(self, text: str) -> None:
        if text:
            self._draft.reasoning(text)
            self._thoughts.append(text)

    def _signature(self, holder: dict[str, Any], call_id: str | None) -> None:
        """A thought signature of Gemini's OpenAI-compatible endpoint, which wants it back at the same place.

        https://ai.google.dev/gemini-api/docs/thought-signatures#openai
        """
        if "extra_content" not in holder:
            return
        signature = _dict(_dict(holder["extra_content"]).get("google")).get("thought_signature")
        if isinstance(signature, str) and signature:
            self._draft.seal(seal(SIGNATURE, {"signature": signature, "call_id": call_id}), apart=True)
            self._thoughts.clear()

    def _seal(self) -> None:
        """The reasoning so far is complete: close it with what its maker wants to see again."""
        details = self._details.take()
        if details:
            self._draft.seal(seal(DETAILS, {"details": details}), apart=not self._thoughts)
        elif self._thoughts and self._manner.returns_reasoning:
            self._draft.seal(seal(self._manner.maker, {"text": "".join(self._thoughts)}))
        self._thoughts.clear()

    # -------------------------------------------------------------------------------------------- calls and the end

    def _call(self, fragment: dict[str, Any]) -> None:
        call = self._calls.find(fragment)
        if call is None:
            self._finish_text()
            self._seal()
            call = self._calls.begin(fragment)
            self._signature(fragment, call.call_id)
        self._calls.feed(call, fragment)

    def _finished(self, choice: dict[str, Any], *, whole: bool) -> None:
        reason = choice.get("finish_reason")
        if reason is None:  # the first vision models of OpenAI
            reason = _dict(choice.get("finish_details")).get("type")
        if isinstance(reason, str) and reason.lower() in _FAILURES:
            if isinstance(choice.get("error"), dict):
                raise refusal(choice)
            kind = _FAILURES[reason.lower()]
            raise UpstreamError(f"The upstream stopped: {reason}.", "overloaded" if kind == "overloaded" else "server")
        if isinstance(reason, str) and (reason or whole):
            self._stop(reason)

    def _stop(self, reason: str) -> None:
        stop = _STOPS.get(reason.lower(), "stop")
        # A forced call ends with "stop" at OpenAI, one without finish reason with "" at Snowflake.
        if stop == "stop" and self._calls:
            stop = "tool_calls"
        elif stop == "tool_calls" and not self._calls:
            stop = "stop"
        self._draft.stop(stop)

    def _tokens(self, chunk: dict[str, Any]) -> None:
        usage = chunk.get("usage") or _dict(chunk.get("x_groq")).get("usage")
        if isinstance(usage, dict) and usage:
            self._usage = usage
        if isinstance(chunk.get("cost"), dict):  # Venice
            self._cost = chunk["cost"]
        if self._usage:
            self._draft.usage(read_usage(self._usage, self._executed.counts, self._cost))


def _logprobs(choice: dict[str, Any]) -> list[Any] | None:
    """Chat's log probabilities have the form that the Responses API wants, but for members of llama.cpp's own."""
    content = _dict(choice.get("logprobs")).get("content")
    found = [
        {
            "token": entry.get("token") or "",
            "bytes": _list(entry.get("bytes")),
            "logprob": entry.get("logprob") or 0.0,
            "top_logprobs": [
                {
                    "token": top.get("token") or "",
                    "bytes": _list(top.get("bytes")),
                    "logprob": top.get("logprob") or 0.0,
                }
                for top in _list(entry.get("top_logprobs"))
                if isinstance(top, dict)
            ],
        }
        for entry in _list(content)
        if isinstance(entry, dict)
    ]
    return found or None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
