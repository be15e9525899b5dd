"""The OpenAI SDK as the client of a running gateway: what it gets to hear."""

from __future__ import annotations

from typing import Any

import openai

from tollbook.errors import Kind, UpstreamError

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
        failure = Failure(kind=_wire(error), message=_words(error), status=status)
        return Heard(said=Said(stop="error", failure=failure), events=events)
    return Heard(said=settled(of_response(events[-1].get("response") or {})), events=events)


def _wire(error: openai.APIError) -> str:
    return error.type or ""


def _words(error: openai.APIError) -> str:
    body = error.body
    told = body.get("message") if isinstance(body, dict) else None
    return str(told or error.message)


def as_seen(expected: Said) -> Said:
    """What a client of the gateway can see of it: a failure has OpenAI's `type` in place of the kind, and its status.

    What had come before the failure is not compared here: the SDK raises.
    """
    failure = expected.failure
    if expected.truncated:
        failure = Failure(kind="truncated", message="")
    if failure is None:
        return expected
    kind: Kind = failure.kind  # type: ignore[assignment]
    error = UpstreamError(failure.message, kind, upstream_status=failure.status)
    seen = Failure(kind=error.type, message=failure.message, status=error.status if failure.status else None)
    return Said(stop="error", failure=seen)
