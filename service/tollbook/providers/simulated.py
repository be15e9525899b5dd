"""A provider that needs no key and no network: deterministic answers, chosen latency, chosen faults.

It is a place like the others - it speaks Chat Completions bytes and all - so that what works
with it works with them. The model name says how it behaves:

    simulated/echo                        repeats the last user message and says how much of the conversation it saw
    simulated/story                       a text of about 60 words
    simulated/reasoner                    thinks before it answers
    simulated/tools                       calls the first tool of the request (or the forced one), then uses its result
    simulated/echo:ttft=200,gap=20        waits 200 ms before the first word and 20 ms between words
    simulated/echo:words=500              answers with that many words
    simulated/echo:fault=429              refuses with that status (retry=3 adds retry-after: 3)
    simulated/story:fault=500,fails=2     fails twice, then works (per process, model and deployment)
    simulated/story:cut=10                the line is cut after ten words
    simulated/story:fault=stream,cut=10   an error frame after ten words
    simulated/story:fault=hang            accepts and never answers
    simulated/story:cached=50             says that half of its input came from a cache
    simulated/story:written=20            says that a fifth of its input was written to one
    simulated/echo:scale=40               says that each word of its input was 40 tokens (with `spread=3`: of its output 3)
    simulated/story:vary=1                is between a fifth and all of its length, as the request happens to have it
    simulated/echo:tier=flex              says that this tier served it
    simulated/echo:searches=2             says that it searched the web twice

Any other name behaves as `echo`. The same settings can be given to a deployment as `litellm_params.extra_body.simulate`;
there `provider` also says as which provider it is booked, and `model` which model answered. Otherwise one token is one word.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from tollbook.config import Deployment
from tollbook.dialects import chat
from tollbook.transport.wire import decode, encode

from . import Endpoint, LocalAnswer

PROVIDER = "simulated"
KEY_VARIABLES: tuple[str, ...] = ()

_STORY = (
    "Once upon a time a small gateway kept its books by candle light. Every call that came in was written down, "
    "with its tokens and its cost, and every night the sums were right. One evening a storm cut the line in the middle "
    "of a sentence; the gateway noted that too, and in the morning nobody had lost a cent."
)


def endpoint(deployment: Deployment, environment: Mapping[str, str]) -> Endpoint:  # noqa: ARG001 - it needs nothing
    simulated = deployment.extra_body.get("simulate")
    return Endpoint(
        provider=str(simulated.get("provider") or PROVIDER) if isinstance(simulated, Mapping) else PROVIDER,
        dialect=chat,
        url="http://simulated.invalid/v1/chat/completions",
        stream_url="http://simulated.invalid/v1/chat/completions",
        local=partial(_answer, deployment.id),
    )


_failures: dict[tuple[str, str], int] = {}


async def _answer(deployment: str, raw: bytes) -> LocalAnswer:
    body = decode(raw)
    behaviour = Behaviour(body)
    if behaviour.fault == "hang":
        await asyncio.Event().wait()
    if behaviour.first:
        await asyncio.sleep(behaviour.first)
    status = behaviour.status(deployment)
    headers = {"content-type": "application/json", "x-request-id": f"sim_{behaviour.digest[:16]}"}
    if status:
        if behaviour.retry:
            headers["retry-after"] = behaviour.retry
        error = {"message": f"Simulated failure {status}.", "type": "simulated_error", "code": None, "param": None}
        return LocalAnswer(status, headers, _spoken([encode({"error": error})], 0))
    if not body.get("stream"):
        return LocalAnswer(200, headers, _spoken([encode(behaviour.whole())], 0))
    headers["content-type"] = "text/event-stream"
    return LocalAnswer(200, headers, _spoken(behaviour.chunks(), behaviour.gap))


async def _spoken(chunks: list[bytes | None], gap: float) -> AsyncIterator[bytes]:
    for number, chunk in enumerate(chunks):
        if number and gap:
            await asyncio.sleep(gap)
        if chunk is None:
            raise ConnectionError("simulated cut")
        yield chunk


class Behaviour:
    """What one request to the simulation will answer; everything follows from the request."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body
        self.model = str(body.get("model") or "echo")
        self.kind, _, settings = self.model.partition(":")
        options = dict(pair.split("=", 1) for pair in settings.split(",") if "=" in pair)
        options |= {str(k): str(v) for k, v in (body.get("simulate") or {}).items()}
        self._options = options
        self.first = _number(options.get("ttft")) / 1000
        self.gap = _number(options.get("gap")) / 1000
        self.fault = options.get("fault", "")
        self.retry = options.get("retry", "")
        self.digest = hashlib.sha256(encode(body)).hexdigest()
        messages = [m for m in body.get("messages") or () if isinstance(m, dict)]
        self._messages = messages
        self.prompt_tokens = sum(_words(_text(m)) + 4 for m in messages)
        self.call = self._call()
        self.thought = "The question is clear. I will answer it in one go." if self.kind == "reasoner" else ""
        self.text = "" if self.call else self._answer()
        if "vary" in options and not body.get("response_format"):
            words = self.text.split(" ")
            self.text = " ".join(words[: max(1, len(words) * (20 + int(self.digest[:4], 16) % 81) // 100)])
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        words = self.text.split(" ")
        self.finish = "tool_calls" if self.call else "stop"
        if isinstance(limit, int) and len(words) > limit:
            self.text, self.finish = " ".join(words[:limit]), "length"

    def status(self, deployment: str) -> int:
        """The status to refuse with, or 0. With `fails=n` only the first n requests are refused."""
        if not self.fault.isdigit():
            return 0
        if "fails" in self._options:
            seen = (deployment, self.model)
            _failures[seen] = _failures.get(seen, 0) + 1
            if _failures[seen] > _number(self._options["fails"]):
                return 0
        return int(self.fault)

    @property
    def usage(self) -> dict[str, Any]:
        thinking = _words(self.thought)
        spoken = _words(self.text) + (len(self.call["function"]["arguments"]) // 4 + 1 if self.call else 0)
        spread = int(_number(self._options.get("spread"))) or 1
        spoken, thinking = spoken * spread, thinking * spread
        prompt = self.prompt_tokens * (int(_number(self._options.get("scale"))) or 1)
        cached, written = (
            int(prompt * min(_number(self._options.get(of)), 100) // 100) for of in ("cached", "written")
        )
        found: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": spoken + thinking,
            "total_tokens": prompt + spoken + thinking,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "completion_tokens_details": {"reasoning_tokens": thinking},
        }
        if "searches" in self._options:
            found["num_search_queries"] = int(_number(self._options["searches"]))
        return found

    def whole(self) -> dict[str, Any]:
        """The answer as one chat completion."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.thought:
            message["reasoning_content"] = self.thought
        if self.call:
            message["tool_calls"] = [self.call]
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        return {**self._envelope("chat.completion"), "choices": [choice], "usage": self.usage}

    def chunks(self) -> list[bytes | None]:
        """The answer as server-sent events; None is where the line is cut."""
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"reasoning_content": piece} for piece in _pieces(self.thought)]
        if self.call:
            name, arguments = self.call["function"]["name"], self.call["function"]["arguments"]
            head = {**self.call, "index": 0, "function": {"name": name, "arguments": ""}}
            deltas.append({"tool_calls": [head]})
            deltas += [
                {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
                for piece in re.findall(r".{1,12}", arguments)
            ]
        deltas += [{"content": piece} for piece in _pieces(self.text)]
        chunks = [self._chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}) for delta in deltas]
        if "cut" in self._options:
            cut = int(_number(self._options["cut"])) + 1
            if self.fault == "stream":
                error = {"error": {"message": "Simulated failure in the stream.", "type": "server_error", "code": None}}
                return [*chunks[:cut], b"data: " + encode(error) + b"\n\n"]
            return [*chunks[:cut], None]
        chunks.append(self._chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": self.finish}]}))
        chunks.append(self._chunk({"choices": [], "usage": self.usage}))
        return [*chunks, b"data: [DONE]\n\n"]

    def _envelope(self, kind: str) -> dict[str, Any]:
        tier = {"service_tier": self._options["tier"]} if "tier" in self._options else {}
        return {
            "id": f"chatcmpl-{self.digest[:24]}",
            "object": kind,
            "created": 0,
            "model": self._options.get("model", self.kind),
            **tier,
        }

    def _chunk(self, fields: dict[str, Any]) -> bytes:
        return b"data: " + encode({**self._envelope("chat.completion.chunk"), **fields}) + b"\n\n"

    def _call(self) -> dict[str, Any] | None:
        """A call of the chosen tool, unless its result is already there or tools are switched off."""
        tools = [t["function"] for t in self._body.get("tools") or () if isinstance(t, dict) and "function" in t]
        choice = self._body.get("tool_choice")
        forced = choice == "required" or isinstance(choice, dict)
        if not tools or choice == "none" or not (self.kind == "tools" or forced):
            return None
        if self._messages and self._messages[-1].get("role") == "tool":
            return None
        wanted = (choice.get("function") or {}).get("name") if isinstance(choice, dict) else None
        tool = next((t for t in tools if t.get("name") == wanted), tools[0])
        properties = (tool.get("parameters") or {}).get("properties") or {}
        arguments = {name: _sample(schema, self._last()) for name, schema in properties.items()}
        return {
            "id": f"call_{self.digest[:24]}",
            "type": "function",
            "function": {"name": tool.get("name"), "arguments": encode(arguments).decode()},
        }

    def _answer(self) -> str:
        if "words" in self._options:
            count = int(_number(self._options["words"]))
            return " ".join(_STORY.split()[n % 60] for n in range(count))
        schema = (self._body.get("response_format") or {}).get("json_schema")
        if schema:
            return encode(_sample(schema.get("schema") or {}, self._last())).decode()
        if self.kind == "story":
            return _STORY
        if self._messages and self._messages[-1].get("role") == "tool":
            return f"The tool answered: {_text(self._messages[-1])}"
        seen = len([m for m in self._messages if m.get("role") in ("user", "assistant")]) - 1
        first = next((_text(m) for m in self._messages if m.get("role") == "user"), "")
        context = (
            f" Before it I saw {seen} messages, the first was: {first}"
            if seen > 0
            else " It is the first message I see."
        )
        return f"You said: {self._last()}.{context}"

    def _last(self) -> str:
        return next((_text(m) for m in reversed(self._messages) if m.get("role") == "user"), "")


def _sample(schema: Any, text: str) -> Any:
    """A value that fits a JSON schema, the same each time."""
    if not isinstance(schema, dict):
        return text
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object" or "properties" in schema:
        return {name: _sample(inner, text) for name, inner in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [_sample(schema.get("items"), text)]
    return {"integer": 42, "number": 4.2, "boolean": True, "null": None}.get(str(kind), text)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(p.get("text") or f"[{p.get('type')}]") for p in content if isinstance(p, dict))
    return str(content or "")


def _words(text: str) -> int:
    return len(text.split())


def _pieces(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


def _number(value: str | None) -> float:
    try:
        return max(float(value or 0), 0.0)
    except ValueError:
        return 0.0
