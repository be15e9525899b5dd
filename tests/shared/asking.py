"""The OpenAI SDK as the client of a running gateway: what it gets to hear."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import openai

from tollbook.errors import Kind, UpstreamError

from .hearing import Heard
from .library import replay
from .oracle import Failure, Said, settled
from .oracle_responses import of_response


async def ask(client: openai.AsyncOpenAI, model: str, *, stream: bool, **fields: Any) -> Heard:
    """One request by the SDK. A failure has OpenAI's `type` for a kind here (see `as_seen`).

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
    if not events:
        silence = Failure(kind="silence", message="a stream with status 200 and no events")
        return Heard(said=Said(stop="error", failure=silence), events=[])
    response = events[-1].get("response") or {}
    return Heard(said=settled(of_response(response)), events=events, response=response)


async def raw(base: str, models: list[str]) -> list[tuple[int, list[dict[str, Any]]]]:
    """Status and events of a stream from each model, read without the SDK; no events for a refusal."""
    places = asyncio.Semaphore(24)

    async with httpx.AsyncClient(timeout=60.0, limits=httpx.Limits(max_connections=24)) as client:

        async def one(model: str) -> tuple[int, list[dict[str, Any]]]:
            async with places:
                answer = await client.post(
                    f"{base}/responses", json={"model": model, "input": "Hello.", "stream": True}
                )
            if answer.status_code != 200:
                return answer.status_code, []
            return 200, [json.loads(data) for _, data in replay().sse_events(answer.content) if data != "[DONE]"]

        return await asyncio.gather(*map(one, models))


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
