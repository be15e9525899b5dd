"""Asking over plain HTTP, and reading what came."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Told:
    """A streamed answer."""

    status: int
    headers: httpx.Headers
    events: list[dict[str, Any]]
    raw: bytes

    @property
    def call_id(self) -> str:
        return self.headers["x-tollbook-call-id"]


def ask(http: httpx.Client, model: str, question: Any = "hello there", **fields: Any) -> httpx.Response:
    """A response that is not streamed."""
    return http.post("/v1/responses", json={"model": model, "input": question, **fields})


def stream(http: httpx.Client, model: str, question: Any = "hello there", **fields: Any) -> Told:
    """A whole stream; an error's body is left in `raw`."""
    body = {"model": model, "input": question, "stream": True, **fields}
    with http.stream("POST", "/v1/responses", json=body) as answer:
        raw = answer.read()
    return Told(answer.status_code, answer.headers, events_of(raw) if answer.status_code == 200 else [], raw)


def events_of(raw: bytes) -> list[dict[str, Any]]:
    """The events in the bytes of a stream; each named as its type, the last thing `[DONE]`."""
    blocks = [block for block in raw.decode().split("\n\n") if block and not block.startswith(":")]
    assert blocks[-1] == "data: [DONE]"
    events = []
    for block in blocks[:-1]:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


def text_of(response: dict[str, Any]) -> str:
    """All visible text of a response."""
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "".join(part["text"] for item in messages for part in item["content"] if part["type"] == "output_text")


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error, which has OpenAI's shape and nothing else."""
    body = answer.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert isinstance(body["error"]["message"], str)
    assert body["error"]["message"]
    return dict(body["error"])
