"""The OpenAI SDK as the client of a running gateway: what it gets to hear."""

from __future__ import annotations

from typing import Any

import openai

from tollbook.errors import Kind, UpstreamError
from tollbook.responses.fold import fold

from .hearing import Heard
from .oracle import Failure, Said, settled
from .oracle_responses import of_response


async def ask(client: openai.AsyncOpenAI, model: str, *, stream: bool, **fields: Any) -> Heard:
    """One request by the SDK. A failure has the kind "" here: a client sees status, type and code (see `wire`)."""
    request: dict[str, Any] = {"model": model, "input": "Hello.", **fields}
    events: list[dict[str, Any]] = []
    try:
        if not stream:
            whole = await client.responses.create(**request)
            return Heard(said=settled(of_response(whole.to_dict())), events=[])
        async with await client.responses.create(**request, stream=True) as answer:
            async for event in answer:
                events.append(event.to_dict())  # noqa: PERF401 - those before a failure are kept
    except openai.APIError as error:
        status = error.status_code if isinstance(error, openai.APIStatusError) else None
        told = of_response(fold(events)) if events else Said()
        failure = Failure(kind=_wire(error), message=_words(error), status=status)
        return Heard(said=settled(_failed(told, failure)), events=events)
    return Heard(said=settled(of_response(events[-1].get("response") or {})), events=events)


def _failed(told: Said, failure: Failure) -> Said:
    return Said(text=told.text, reasoning=told.reasoning, calls=told.calls, stop="error", failure=failure)


def _wire(error: openai.APIError) -> str:
    return error.type or ""


def _words(error: openai.APIError) -> str:
    body = error.body
    told = body.get("message") if isinstance(body, dict) else None
    return str(told or error.message)


def as_seen(expected: Failure) -> Failure:
    """A failure as a client of the gateway sees it: OpenAI's `type` in place of the kind, and the status that goes with it."""
    kind: Kind = expected.kind  # type: ignore[assignment]
    error = UpstreamError(expected.message, kind, upstream_status=expected.status)
    return Failure(kind=error.type, message=expected.message, status=error.status if expected.status else None)
