"""Paths and what they call. Each parses, asks the gateway, answers; whatever can be done here, the SDK can do too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

from litestar import Request, delete, get, post
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import ASGIApp

from tollbook.access.keys import Caller, Keys, presented
from tollbook.access.owner import end_user, tags, task
from tollbook.call import Call, Operation
from tollbook.errors import InvalidRequest, TollbookError, TooLarge
from tollbook.gateway import Answer, Gateway
from tollbook.responses import request as requests
from tollbook.responses.types import Request as Body

from .answers import Events, Json

PREFIXES = ("", "/v1", "/openai/v1")
"""Every route exists under each of them: clients are given `http://localhost:4000` as often as `.../v1`."""

MOST_HEADERS = 200
LARGEST_HEADERS = 64 * 1024
"""Bytes. What is broken or far larger never gets here: uvicorn's parser refuses it with a plain 400."""

Asked = Request[Any, Any, Any]


def everywhere(path: str) -> list[str]:
    """The path under every prefix."""
    return [prefix + path for prefix in PREFIXES]


def gateway_of(request: Asked) -> Gateway:
    return cast("Gateway", request.app.state.gateway)


async def admit(request: Asked, call: Call) -> Caller:
    """Who is asking. Raises Unauthenticated. The call is theirs from here on."""
    headers = cast("list[tuple[bytes, bytes]]", request.scope["headers"])
    if len(headers) > MOST_HEADERS or sum(len(name) + len(value) for name, value in headers) > LARGEST_HEADERS:
        raise InvalidRequest(
            f"The request has more than {MOST_HEADERS} headers, or more than {LARGEST_HEADERS} bytes of them.",
            status=431,
            code="headers_too_large",
        )
    keys = cast("Keys", request.app.state.access)
    caller = keys.authenticate(presented(request.headers))
    call.key_id, call.key_alias, call.team = caller.key_id, caller.alias, caller.team
    call.keep = caller.content
    return caller


async def parsed(request: Asked) -> Body:
    """The body as a request. Raises InvalidRequest or TooLarge."""
    largest = gateway_of(request).config.general.max_request_bytes
    try:
        body = await request.body()
    except RequestEntityTooLarge:
        raise TooLarge(f"The request body is too large; at most {largest} bytes are accepted.") from None
    return requests.parse(body, largest=largest)


def answering(request: Asked, operation: Operation, work: Callable[[Call, Caller], Awaitable[Any]]) -> ASGIApp:
    """An answer that admits the caller and does the work. What is refused before the gateway saw it is booked here."""
    call = gateway_of(request).books.begin(operation)
    return cast("ASGIApp", Json(call, lambda: booked(request, call, work)))


def looking(request: Asked, operation: Operation, work: Callable[[Caller], Awaitable[Any]]) -> ASGIApp:
    """As `answering`, for looks into the books and the list of models: they leave no row of their own."""
    books = gateway_of(request).books
    return answering(request, operation, lambda call, caller: books.look(call, work(caller)))


async def booked(request: Asked, call: Call, work: Callable[[Call, Caller], Awaitable[Any]]) -> Any:
    """The result of the work for an admitted caller; every refusal leaves a row."""
    try:
        return await work(call, await admit(request, call))
    except TollbookError as error:
        if call.ended is None:
            await gateway_of(request).books.end(call, "rejected", error=error)
        raise


async def streaming(request: Asked, operation: Operation, work: Callable[[Call, Caller], Awaitable[Any]]) -> ASGIApp:
    """As `answering`, where the work decides: an `Answer` is streamed, anything else is JSON."""
    call = gateway_of(request).books.begin(operation)
    try:
        answer = await booked(request, call, work)
    except TollbookError as error:
        refused = error

        async def refuse() -> Any:
            raise refused

        return cast("ASGIApp", Json(call, refuse))
    if isinstance(answer, Answer):
        return cast("ASGIApp", Events(answer, keep_alive=request.app.state.keep_alive))
    return cast("ASGIApp", Json(call, answer))


@post(everywhere("/responses"), status_code=200)
async def create_response(request: Asked) -> ASGIApp:
    """Create a response; `stream: true` in the body (or `?stream=true`) streams it as server-sent events."""
    gateway = gateway_of(request)

    async def work(call: Call, caller: Caller) -> Any:
        body = await parsed(request)
        if request.query_params.get("stream") in ("true", "1"):
            body["stream"] = True
        call.end_user = end_user(body, request.headers, gateway.config.general.end_user_header)
        call.tags = tags(body, request.headers, caller.tags)
        call.task = task(body)
        call.metadata = body.get("metadata") or {}
        if body.get("stream"):
            return gateway.stream(call, body, caller)
        return lambda: gateway.create(call, body, caller)

    return await streaming(request, "create", work)


@get(everywhere("/responses/{response_id:str}"))
async def get_response(request: Asked, response_id: str) -> ASGIApp:
    """A stored response. `?stream=true&starting_after=N` tells it as events again."""
    gateway = gateway_of(request)
    if request.query_params.get("stream") not in ("true", "1"):
        return answering(request, "get", lambda call, caller: gateway.stored.get(call, response_id, caller))

    async def work(call: Call, caller: Caller) -> Any:
        after = whole_number(request, "starting_after", -1, least=0, most=2**31)
        return Answer(call, await gateway.stored.again(call, response_id, caller, after=after))

    return await streaming(request, "get", work)


@delete(everywhere("/responses/{response_id:str}"), status_code=200)
async def delete_response(request: Asked, response_id: str) -> ASGIApp:
    """Delete a response: its content is gone at once, its cost stays in the books."""
    gateway = gateway_of(request)
    return answering(request, "delete", lambda call, caller: gateway.stored.delete(call, response_id, caller))


@post(everywhere("/responses/{response_id:str}/cancel"), status_code=200)
async def cancel_response(request: Asked, response_id: str) -> ASGIApp:
    """Cancel a response that runs in background."""
    gateway = gateway_of(request)
    return answering(request, "cancel", lambda call, caller: gateway.stored.cancel(call, response_id, caller))


@get(everywhere("/responses/{response_id:str}/input_items"))
async def list_input_items(request: Asked, response_id: str) -> ASGIApp:
    """The items a response had as input, the conversation before it included. Pages by `after`, `limit`, `order`."""
    gateway = gateway_of(request)

    async def work(call: Call, caller: Caller) -> Any:
        order = request.query_params.get("order", "desc")
        if order not in ("asc", "desc"):
            raise InvalidRequest(f"Invalid value for 'order': {order!r}.", param="order", code="invalid_value")
        return await gateway.stored.input_items(
            call,
            response_id,
            caller,
            after=request.query_params.get("after"),
            limit=whole_number(request, "limit", 20, least=1, most=100),
            order=cast("Literal['asc', 'desc']", order),
        )

    return answering(request, "input_items", work)


@post(everywhere("/responses/input_tokens"), status_code=200)
async def count_input_tokens(request: Asked) -> ASGIApp:
    """How many input tokens a request would have: an estimate that asks no provider."""
    gateway = gateway_of(request)

    async def work(call: Call, caller: Caller) -> Any:
        body = await parsed(request)
        return await gateway.input_tokens(call, body, caller)

    return answering(request, "input_tokens", work)


@get(everywhere("/models"))
async def list_models(request: Asked) -> ASGIApp:
    """The public model names. `models` beside `data` is what Codex looks for."""
    gateway = gateway_of(request)

    async def work(caller: Caller) -> Any:
        return gateway.models(caller)

    return looking(request, "models", work)


@get(everywhere("/models/{model:path}"))
async def get_model(request: Asked, model: str) -> ASGIApp:
    """One public model name."""
    gateway = gateway_of(request)

    async def work(caller: Caller) -> Any:
        return gateway.model(model.strip("/"), caller)

    return looking(request, "models", work)


@get(everywhere("/calls"))
async def list_calls(request: Asked) -> ASGIApp:
    """Calls, newest first: a key sees its own, the master key all. Pages by `before` (a call id) and `limit`."""
    gateway = gateway_of(request)

    async def work(caller: Caller) -> Any:
        limit = whole_number(request, "limit", 20, least=1, most=1000)
        return await gateway.calls(caller, limit=limit, before=request.query_params.get("before"))

    return looking(request, "calls", work)


@get(everywhere("/calls/{call_id:str}"))
async def get_call(request: Asked, call_id: str) -> ASGIApp:
    """One call: its attempts, tokens, and cost line by line (tokens × rate = amount)."""
    gateway = gateway_of(request)
    return looking(request, "calls", lambda caller: gateway.find_call(call_id, caller))


def whole_number(request: Asked, name: str, default: int, *, least: int, most: int) -> int:
    """A query parameter as a number within bounds. Raises InvalidRequest naming it."""
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise InvalidRequest(
            f"Invalid value for '{name}': expected an integer from {least} to {most}.", param=name, code="invalid_value"
        )
    return number


ROUTES = [
    create_response,
    get_response,
    delete_response,
    cancel_response,
    list_input_items,
    count_input_tokens,
    list_models,
    get_model,
    list_calls,
    get_call,
]
