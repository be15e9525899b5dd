"""What a provider makes of a probe, found by asking: a gateway in this process, in front of somebody who only listens."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import AsyncGenerator, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from tollbook.access.keys import NOBODY
from tollbook.books import Books
from tollbook.config import config_from
from tollbook.dialects.chat import Chat
from tollbook.errors import Unsupported
from tollbook.gateway import Gateway
from tollbook.pricing.book import PriceBook
from tollbook.responses.draft import Draft
from tollbook.storage import open_store
from tollbook.transport.frame import Frame
from tollbook.upstream import Upstream

from .probes import ANSWER, FILES, HELLO, OUTPUT, PARENT, REFERENCE, Probe

Kind = Literal["native", "translated", "adapted", "left out", "refused", "not sent", "unavailable"]

FETCHED = "fetched by the gateway, sent as bytes"


@dataclass(frozen=True)
class Target:
    """A column: what a deployment of it says in `litellm_params`."""

    name: str
    params: Mapping[str, Any]

    @property
    def model(self) -> str:
        return str(self.params["model"])


@dataclass(frozen=True)
class Cell:
    """What became of a probe. `notes` are the gateway's own words, without where in the request it was."""

    kind: Kind
    notes: tuple[str, ...] = ()


class Silent(AssertionError):
    """Something was dropped without a word."""


class Listener(Upstream):
    """Keeps what would be sent, and answers each dialect in its own language with a thought and a hello."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: Any = None

    async def ask(
        self, endpoint: Any, body: dict[str, Any], draft: Draft, reader: Any, **how: Any
    ) -> AsyncGenerator[list[Frame]]:
        sent = endpoint.adjust(body) if endpoint.adjust else body
        url = endpoint.stream_url if how["stream"] else endpoint.url
        # As bytes, for that is what leaves the house.
        self.heard = json.loads(json.dumps([url, dict(how["headers"]), sent]))
        draft.begin() if not endpoint.dialect.native else None
        reader.whole(_answer(endpoint, draft))
        yield draft.take()


class Inquiry:
    """Asks one target. `ask` gives a cell."""

    def __init__(self, target: Target, files: Files) -> None:
        self.target = target
        self._files = files
        params = {"api_key": "sk-test", **target.params, "allow_private_addresses": True}
        config = config_from({"model_list": [{"model_name": "probe", "litellm_params": params}]}, {})
        self._listener = Listener()
        self._books = Books(open_store(None), PriceBook())
        self._gateway = Gateway(config, books=self._books, environment={}, upstream=self._listener)
        self._known: dict[str, tuple[Any, list[str]]] = {}
        self._earlier: dict[str, Any] = {}

    async def close(self) -> None:
        await self._gateway.close()

    async def ask(self, probe: Probe) -> Cell:
        """Asks with and without. Raises Silent when the difference is nowhere to be seen and nothing explains it."""
        if not self._earlier:
            self._earlier = (await self._send({}))[2]
        try:
            before, known_notes, _ = await self._send(probe.base)
        except Unsupported as error:
            return Cell("unavailable", _placeless(error.params))
        fetched = self._files.fetched
        try:
            after, notes, _ = await self._send({**probe.base, **probe.asked})
        except Unsupported as error:
            return Cell("refused", _placeless(error.params))
        new = [note for note in notes if note not in known_notes]
        if self._files.fetched > fetched:
            new.append(FETCHED)
        if after == before:
            return Cell("left out", _placeless(new)) if new else self._silent(probe)
        if self._native:
            return Cell("native", _placeless(new))
        return Cell("adapted", _placeless(new)) if new else Cell("translated")

    def _silent(self, probe: Probe) -> Cell:
        if not probe.unsent:
            raise Silent(f"{self.target.name} ({self.target.model}): {probe.name} vanished without a note")
        return Cell("not sent", (probe.unsent,))

    @property
    def _native(self) -> bool:
        ((_, endpoint),) = self._gateway._endpoints.values()
        return endpoint.dialect.native

    async def _send(self, asked: Mapping[str, Any]) -> tuple[Any, list[str], dict[str, Any]]:
        """What is sent for it, with what notes, and the response."""
        request = self._filled({"input": [HELLO], **asked})
        call = self._books.begin("create")
        response = await self._gateway.create(call, {"model": "probe", **request}, NOBODY)
        return self._listener.heard, list(call.notes), response

    def _filled(self, request: dict[str, Any]) -> dict[str, Any]:
        """The request with the earlier response and the web server put where they are meant."""
        text = json.dumps(request).replace(FILES, self._files.url).replace(PARENT, str(self._earlier.get("id")))
        filled: dict[str, Any] = json.loads(text)
        if isinstance(filled["input"], list):
            output = deepcopy(self._earlier.get("output") or [])
            said = [item for item in output if item["type"] == "message"]
            stands = {
                OUTPUT["type"]: output,
                ANSWER["type"]: said,
                REFERENCE["type"]: [{"type": "item_reference", "id": item["id"]} for item in said],
            }
            filled["input"] = [i for item in filled["input"] for i in stands.get(item.get("type", ""), [item])]
        return filled


def _placeless(names: Iterable[str]) -> tuple[str, ...]:
    """Where in the probe's request it was means nothing to a reader of the table."""
    return tuple(dict.fromkeys(re.sub(r"\[\d+\]", "[n]", name) for name in names))


# What each language would answer: one thought, one text.
def _answer(endpoint: Any, draft: Draft) -> Any:
    name = getattr(endpoint.dialect, "__name__", "chat").removeprefix("tollbook.dialects.")
    thought, text, mark = "Hm.", "Hello.", "c2lnbmF0dXJl"
    match name:
        case "responses":
            content = [{"type": "output_text", "text": text, "annotations": []}]
            message = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content}
            reasoning = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
            return {
                "id": draft.response["id"],
                "object": "response",
                "status": "completed",
                "output": [reasoning, message],
            }
        case "messages" | "converse.invoke":
            blocks = [{"type": "thinking", "thinking": thought, "signature": mark}, {"type": "text", "text": text}]
            return {"id": "msg_1", "type": "message", "role": "assistant", "content": blocks, "stop_reason": "end_turn"}
        case "converse":
            reasoning = {"reasoningContent": {"reasoningText": {"text": thought, "signature": mark}}}
            message = {"role": "assistant", "content": [reasoning, {"text": text}]}
            return {"output": {"message": message}, "stopReason": "end_turn"}
        case "gemini":
            parts = [{"text": thought, "thought": True}, {"text": text, "thoughtSignature": mark}]
            return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
        case "cohere":
            content = [{"type": "thinking", "thinking": thought}, {"type": "text", "text": text}]
            return {"id": "1", "message": {"role": "assistant", "content": content}, "finish_reason": "COMPLETE"}
    manner = endpoint.dialect.manner if isinstance(endpoint.dialect, Chat) else None
    said: dict[str, Any] = {"role": "assistant", "content": text}
    if manner is None or manner.returns_reasoning != "parts":
        said["reasoning"] = said["reasoning_content"] = thought
    else:
        said["content"] = [
            {"type": "thinking", "thinking": [{"type": "text", "text": thought}]},
            {"type": "text", "text": text},
        ]
    if manner is not None and manner.reasoning_details:
        said["reasoning_details"] = [{"type": "reasoning.text", "text": thought, "signature": mark, "index": 0}]
    return {"id": "1", "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}


class Files:
    """A web server on the loopback address with a picture and a paper."""

    def __init__(self) -> None:
        self.fetched = 0
        files = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                files.fetched += 1
                kind, data = (
                    ("image/png", b"\x89PNG\r\n\x1a\n")
                    if self.path.endswith(".png")
                    else ("application/pdf", b"%PDF-1.4")
                )
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
