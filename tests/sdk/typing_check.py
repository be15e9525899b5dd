"""What users write, for the type checker: test_typing.py runs mypy over it. It is never executed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, assert_type

from pydantic import BaseModel

import tollbook


class Answer(BaseModel):
    city: str


def plain() -> None:
    response = tollbook.responses(model="openai/gpt-4o", input="hi", max_output_tokens=100, temperature=0.2)
    assert_type(response, tollbook.Response)
    assert_type(response.id, str)
    assert_type(response.output_text, str)
    assert_type(response.cost_usd, Decimal | None)
    assert_type(response.output, list[tollbook.Item])
    assert_type(response.output[0].content[0].text, Any)
    if response.usage:
        assert_type(response.usage.input_tokens, int)
    for item in response.output:
        if isinstance(item, tollbook.Message):
            assert_type(item.content[0].text, str)
        elif isinstance(item, tollbook.FunctionCall):
            assert_type(item.arguments, str)
    tollbook.responses(model="openai/gpt-4o", input=[*response.output, {"role": "user", "content": "and?"}])
    tollbook.responses("hi", "openai/gpt-4o", max_output_tokens="100")  # type: ignore[call-overload]
    tollbook.responses("hi", "openai/gpt-4o", max_output_token=100)  # type: ignore[call-overload]


def streams() -> None:
    stream = tollbook.responses(model="openai/gpt-4o", input="hi", stream=True)
    assert_type(stream, tollbook.Stream)
    for event in stream:
        assert_type(event, tollbook.Event)
        if isinstance(event, tollbook.DeltaEvent):
            assert_type(event.delta, str)
        elif isinstance(event, tollbook.ResponseEvent):
            assert_type(event.response, tollbook.Response)


def either(stream: bool) -> None:
    assert_type(
        tollbook.responses(model="openai/gpt-4o", input="hi", stream=stream), tollbook.Response | tollbook.Stream
    )


def parsed() -> None:
    response = tollbook.responses(model="openai/gpt-4o", input="hi", text_format=Answer)
    assert_type(response, tollbook.ParsedResponse[Answer])
    assert_type(response.output_parsed, Answer | None)


async def asynchronous() -> None:
    router = tollbook.Router(model_list=[], num_retries=1)
    async with router:
        assert_type(await router.aresponses(model="gpt", input="hi"), tollbook.Response)
        stream = await router.aresponses(model="gpt", input="hi", stream=True)
        assert_type(stream, tollbook.AsyncStream)
        async for event in stream:
            assert_type(event.type, str)
        answer = await router.aresponses(model="gpt", input="hi", text_format=Answer)
        assert_type(answer.output_parsed, Answer | None)
    assert_type(await tollbook.aget_responses("resp_1"), tollbook.Response)
    assert_type(await tollbook.aget_responses("resp_1", stream=True), tollbook.AsyncStream)
    assert_type((await tollbook.adelete_responses("resp_1")).deleted, bool)
    assert_type((await tollbook.alist_input_items("resp_1")).data, list[tollbook.Item])


def errors() -> None:
    try:
        tollbook.responses(model="openai/gpt-4o", input="hi")
    except tollbook.UpstreamError as error:
        assert_type(error.upstream_status, int | None)
    except tollbook.TollbookError as error:
        assert_type(error.status, int)
