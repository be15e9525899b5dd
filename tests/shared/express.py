"""A vendor's recorded request as the Responses request that a client of the gateway would send for the same purpose.

Straightforward, one module for each wire format. What a model said in earlier turns is expressed as what the gateway
told its client then: the turn is read by the dialect like an answer, and its output items become input. Anything that
Responses cannot say raises `Inexpressible` with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

from tollbook.responses.draft import Draft

Request = dict[str, Any]
Item = dict[str, Any]
Part = dict[str, Any]


class Inexpressible(Exception):
    """This request has no words in the Responses API; the message says which part and why."""


def express(recording: Any, dialect: Any, history: list[list[Item]] | None = None) -> Request:
    """The Responses request for a recorded one. `dialect` reads the model's earlier turns; their items, the very objects
    that are in `input`, are added to `history`, a list for each turn."""
    api = recording.api
    if api.startswith(("anthropic.", "vertex.anthropic.", "bedrock.invoke")):
        name = "anthropic"
    elif api.startswith(("gemini.", "vertex.")):
        name = "gemini"
    elif api.startswith("bedrock.converse"):
        name = "converse"
    elif api == "openai.chat":
        name = "chat"
    elif api == "cohere.v2.chat":
        name = "cohere"
    else:
        name = "responses"
    module = import_module(f".express_{name}", __package__)

    def turn(answer: dict[str, Any]) -> list[Item]:
        items = told(dialect, answer)
        if history is not None:
            history.append(items)
        return items

    request: Request = module.request(json.loads(json.dumps(recording.request_json)), turn)
    request.setdefault("model", recording.model)
    if recording.streaming:
        request["stream"] = True
    return request


Turn = Callable[[dict[str, Any]], list[Item]]
"""A whole answer in the vendor's format -> the output items that the gateway gave its client for it."""


def told(dialect: Any, answer: dict[str, Any]) -> list[Item]:
    request = {"model": "a-model", "input": "Hello."}
    draft = Draft(request, stream=False)
    reader = dialect.reader(draft, request)
    reader.whole(answer)
    return [dict(item) for item in draft.response["output"]]


def effort_of(budget: int) -> str:
    """A word for a number of thinking tokens."""
    return "minimal" if budget < 1024 else "low" if budget <= 2048 else "medium" if budget <= 8192 else "high"


def data_url(kind: str, data: str) -> str:
    return f"data:{kind};base64,{data}"


def image(url: str, **more: Any) -> Part:
    return {"type": "input_image", "image_url": url, **more}


def file(**fields: Any) -> Part:
    return {"type": "input_file", **{name: value for name, value in fields.items() if value is not None}}


def function(name: str, description: str | None, parameters: Any, strict: bool | None = None) -> dict[str, Any]:
    tool: dict[str, Any] = {"type": "function", "name": name, "parameters": parameters}
    if description is not None:
        tool["description"] = description
    if strict is not None:
        tool["strict"] = strict
    return tool


def schema_format(schema: Any, name: str = "answer", strict: bool | None = None, **more: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"type": "json_schema", "name": name, "schema": schema, **more}
    if strict is not None:
        described["strict"] = strict
    return {"format": described}
