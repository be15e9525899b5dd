"""A provider on this machine: it speaks the Responses API, remembers what it was asked, and notices who hangs up."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import sleep
from typing import Any


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Provider:
    """Answers with `words`, one delta each, `gap` seconds apart. `status` refuses instead."""

    words: list[str] = field(default_factory=lambda: ["Once ", "upon ", "a ", "time."])
    gap: float = 0.0
    first: float = 0.0
    status: int = 200
    asked: list[Asked] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [each.body for each in self.asked if each.method == "POST"]

    def response(self, number: int, status: str) -> dict[str, Any]:
        port = self.url.rpartition(":")[2]
        text = "".join(self.words)
        part = {"type": "output_text", "text": text, "annotations": []}
        item = {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        usage = {"input_tokens": 10, "output_tokens": len(self.words), "total_tokens": 10 + len(self.words)}
        done = status == "completed"
        return {
            "id": f"resp_{port}_{number}",
            "object": "response",
            "created_at": 1,
            "status": status,
            "model": "gpt-4o",
            "output": [item] if done else [],
            "usage": usage if done else None,
            "brand_new_field": {"kept": [1, 2]},
        }

    def events(self, number: int) -> Iterator[dict[str, Any]]:
        done = self.response(number, "completed")
        item = done["output"][0]
        place = {"output_index": 0, "item_id": item["id"], "content_index": 0}
        begun = self.response(number, "in_progress")
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}
        opened = {**item, "status": "in_progress", "content": []}
        yield {"type": "response.output_item.added", "output_index": 0, "item": opened}
        empty = {"type": "output_text", "text": "", "annotations": []}
        yield {"type": "response.content_part.added", **place, "part": empty}
        for word in self.words:
            yield {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
        text = "".join(self.words)
        yield {"type": "response.output_text.done", **place, "text": text, "logprobs": []}
        yield {"type": "response.content_part.done", **place, "part": item["content"][0]}
        yield {"type": "response.output_item.done", "output_index": 0, "item": item}
        yield {"type": "response.completed", "response": done}


@contextmanager
def provider(**behaviour: Any) -> Iterator[Provider]:
    """Runs it on a free port of the loopback address."""
    told = Provider(**behaviour)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def _answer(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            headers = {name.lower(): value for name, value in self.headers.items()}
            told.asked.append(Asked(self.command, self.path, headers, body))
            number = len(told.asked)
            told.began.set()
            try:
                if told.first:
                    sleep(told.first)
                if told.status != 200:
                    self._json(told.status, {"error": {"message": "refused", "type": "server_error", "code": None}})
                elif body.get("stream"):
                    self._stream(number)
                elif self.command == "DELETE":
                    self._json(200, {"id": self.path.rpartition("/")[2], "object": "response", "deleted": True})
                else:
                    self._json(200, told.response(number, "completed"))
            except (BrokenPipeError, ConnectionResetError):
                told.gone.set()
                self.close_connection = True

        def _json(self, status: int, value: dict[str, Any]) -> None:
            raw = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def _stream(self, number: int) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            for sequence, event in enumerate(told.events(number)):
                event["sequence_number"] = sequence
                self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
                self.wfile.flush()
                if told.gap and event["type"].endswith(".delta"):
                    sleep(told.gap)
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Tests speak for themselves."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def deployment(base: str, name: str = "gpt", **more: Any) -> dict[str, Any]:
    """An entry of `model_list` for such a provider."""
    params = {"model": "openai/gpt-4o", "api_key": "sk-test", "api_base": f"{base}/v1", **more}
    return {"model_name": name, "litellm_params": params}
