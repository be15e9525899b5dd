"""OpenAI's own client: sync and async, whole and streamed, its helpers and its errors."""

from __future__ import annotations

import asyncio

import openai
import pydantic
import pytest
from openai.types.responses import Response

from tests import protocol

from .running import Gateway

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather somewhere.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


class Event(pydantic.BaseModel):
    name: str
    participants: list[str]


@pytest.mark.parametrize("path", ["", "/v1", "/openai/v1"])
def test_a_response_is_created_retrieved_and_deleted(gateway: Gateway, path: str) -> None:
    with gateway.openai(path=path) as client:
        made = client.responses.create(model="simulated/echo", input="who is it")
        again = client.responses.retrieve(made.id)
        client.responses.delete(made.id)

        assert made.output_text == "You said: who is it. It is the first message I see."
        assert made.usage is not None
        assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0
        assert again == made
        with pytest.raises(openai.NotFoundError) as gone:
            client.responses.retrieve(made.id)
        assert gone.value.request_id


@pytest.mark.parametrize("model", ["simulated/story", "simulated/reasoner", "simulated/tools"])
def test_raw_streaming_gives_the_events_of_the_final_response(client: openai.OpenAI, model: str) -> None:
    events = list(client.responses.create(model=model, input="Paris", tools=[TOOL], stream=True))  # type: ignore[list-item]

    final = protocol.check([event.to_dict() for event in events])
    assert client.responses.retrieve(final["id"]).to_dict() == final


@pytest.mark.parametrize("model", ["simulated/story", "simulated/reasoner", "simulated/tools"])
def test_the_stream_helper_accepts_every_kind_of_stream(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input="Paris", tools=[TOOL]) as stream:  # type: ignore[list-item]
        kinds = [event.type for event in stream]
        final = stream.get_final_response()

    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.status == "completed"


def test_the_stream_helper_resumes_a_stored_response(client: openai.OpenAI) -> None:
    made = client.responses.create(model="simulated/story", input="once")

    with client.responses.stream(response_id=made.id, starting_after=3) as stream:
        numbers = [event.sequence_number for event in stream if hasattr(event, "sequence_number")]
        final = stream.get_final_response()

    assert min(numbers) > 3
    assert final.output_text == made.output_text


def test_structured_output_is_parsed(client: openai.OpenAI) -> None:
    parsed = client.responses.parse(model="simulated/echo", input="a fair", text_format=Event)

    assert parsed.output_parsed == Event(name="a fair", participants=["a fair"])


def test_a_tool_is_called_and_its_result_used(client: openai.OpenAI) -> None:
    first = client.responses.create(model="simulated/tools", input="Paris", tools=[TOOL])  # type: ignore[list-item]
    (call,) = first.output
    assert call.type == "function_call"
    assert (call.name, call.arguments) == ("get_weather", '{"city":"Paris"}')

    second = client.responses.create(
        model="simulated/tools",
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}],
        previous_response_id=first.id,
    )

    assert second.output_text == "The tool answered: sunny"


async def test_the_async_client_does_all_of_it_at_once(gateway: Gateway) -> None:
    async with gateway.async_openai() as client:

        async def whole(number: int) -> Response:
            return await client.responses.create(model="simulated/echo", input=f"number {number}")

        async def streamed(number: int) -> str:
            stream = await client.responses.create(model="simulated/echo", input=f"number {number}", stream=True)
            return "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])

        responses = await asyncio.gather(*map(whole, range(10)))
        texts = await asyncio.gather(*map(streamed, range(10)))
        async with client.responses.stream(model="simulated/story", input="x") as stream:
            final = await stream.get_final_response()

    assert [response.output_text for response in responses] == texts
    assert len({response.id for response in responses}) == 10
    assert all(f"number {number}." in text for number, text in enumerate(texts))
    assert final.status == "completed"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_providers_refusal_is_the_exception_it_would_be_without_a_gateway(
    client: openai.OpenAI, status: int, expected: type[openai.APIStatusError], streamed: bool
) -> None:
    with pytest.raises(expected) as refused:
        client.responses.create(model=f"simulated/echo:fault={status}", input="x", stream=streamed)  # type: ignore[call-overload]

    assert f"Simulated failure {status}." in str(refused.value)
    assert refused.value.request_id


def test_a_retry_by_the_gateway_is_invisible(client: openai.OpenAI) -> None:
    raw = client.responses.with_raw_response.create(model="again/story:fault=500,fails=2,words=3", input="x")

    assert raw.headers["x-tollbook-attempts"] == "3"
    assert raw.parse().output_text == "Once upon a"


def test_an_exhausted_gateway_asks_the_client_not_to_try_again(gateway: Gateway) -> None:
    with gateway.openai(retries=2) as client, pytest.raises(openai.InternalServerError) as refused:
        client.responses.create(model="again/echo:fault=503", input="x")

    assert refused.value.response.headers["x-should-retry"] == "false"
    assert refused.value.response.headers["x-tollbook-attempts"] == "3"
    assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_models_are_listed(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]

    assert "org/team/deep" in names
    assert client.models.retrieve("org/team/deep").id == "org/team/deep"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody/knows")
