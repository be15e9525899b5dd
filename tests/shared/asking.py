"""The OpenAI SDK as the client of a running gateway: what it gets to hear."""

from __future__ import annotations

from typing import Any

import openai

from tollbook.errors import Kind, UpstreamError

from .hearing import Heard
from .oracle import Failure, Said, settled
from .oracle_responses import of_response


async def ask(client: openai.AsyncOpenAI, model: str, *, stream: bool, **fields: Any) -> Heard:
    """One request by the SDK. A failure has the kind "" here: a client sees status, type and code (see `as_seen`).

    `fields` are sent as they are, so that parameters of the provider alone may be among them.
    """
    request: dict[str, Any] = {"model": model, "input": fields.pop("input", "Hello."), "extra_body": fields}
    events: list[dict[str, Any]] = []
    try:
        if not stream:
            whole = (await client.responses.create(**request)).to_dict(warnings=False)
            return Heard(said=settled(of_response(whole)), events=[], response=whole)
        async with await client.responses.create(**request, stream=True) as answer:
            async for event in answer:
                events.append(event.to_dict(warnings=False))  # noqa: PERF401 - those before a failure are kept
    except openai.APIError as error:
        status = error.status_code if isinstance(error, openai.APIStatusError) else None
        failure = Failure(kind=_wire(error), message=_words(error), status=status)
        return Heard(said=Said(stop="error", failure=failure), events=events)
    response = events[-1].get("response") or {}
    return Heard(said=settled(of_response(response)), events=events, response=response)


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
