"""Who may use the administrator's routes, in whose name, and how a wrong request is answered."""

from __future__ import annotations

import re
from typing import Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Response

from tollbook.access.allowances import Allowances
from tollbook.access.caller import Caller, presented
from tollbook.access.keys import Keys
from tollbook.access.shapes import Refused
from tollbook.errors import Forbidden, InvalidRequest, TollbookError
from tollbook.server import errors

Asked = Request[Any, Any, Any]

ACTOR = "x-tollbook-actor"
"""The header in which whoever holds the master key may say in whose name, for the audit."""

LARGEST = 64 * 1024
"""Bytes of an administrator's request."""

REFUSALS = {
    status: ResponseSpec(data_container=Refused, generate_examples=False, description=words)
    for status, words in {
        400: "What is asked for cannot be; `param` names what is wrong.",
        401: "The key is missing or not valid.",
        403: "It is not the master key.",
        404: "There is no such thing.",
        409: "Not possible as things are.",
    }.items()
}


def keys_of(request: ASGIConnection[Any, Any, Any, Any]) -> Keys:
    return cast("Keys", request.app.state.access)


def allowances_of(request: Asked) -> Allowances:
    return cast("Allowances", request.app.state.allowances)


def caller_of(request: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """Raises Unauthenticated."""
    return keys_of(request).authenticate(presented(request.headers))


def administrator(request: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Raises Unauthenticated, or Forbidden for a key that is not the master key."""
    if not caller_of(request).admin:
        raise Forbidden("This needs the master key.", code="master_key_required")


def master_only(request: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """The same as a guard of a route."""
    administrator(request)


def actor(request: Asked) -> str:
    """Who to name in the audit: "master", "master:alice", or "local" on a gateway without a master key."""
    who = caller_of(request).alias or "local"
    name = "".join(letter for letter in request.headers.get(ACTOR, "").strip() if letter.isprintable())[:100]
    return f"{who}:{name}" if name else who


def wrong(request: Asked, error: HTTPException) -> Response[dict[str, Any]]:
    """A body that is not what the route takes, in OpenAI's envelope."""
    shaped: TollbookError
    if isinstance(error, ValidationException) and isinstance(error.extra, list) and error.extra:
        shaped = _mistake(error.extra[0])
    elif error.status_code == 400:
        shaped = InvalidRequest(f"The request body is not valid JSON: {error.detail}.", code="invalid_json")
    else:
        return errors.http_error(request, error)
    return errors.own_error(request, shaped)


def too_deep(request: Asked, _: RecursionError) -> Response[dict[str, Any]]:
    """A body that is nested as no real one is."""
    return errors.own_error(request, InvalidRequest("The request is nested too deeply.", code="invalid_json"))


_NAMED = re.compile(r"`([^`]*)`")
_MISSING = "Object missing required field"
_UNKNOWN = "Object contains unknown field"


def _mistake(told: Any) -> InvalidRequest:
    """One of msgspec's sentences as one of ours."""
    message, place = str(told.get("message", "")), str(told.get("key", ""))
    path = "" if place == "data" else place
    if message.startswith((_MISSING, _UNKNOWN)):
        field = _NAMED.findall(message)[0]
        param = ".".join(filter(None, (path, field)))
        if message.startswith(_MISSING):
            return InvalidRequest(
                f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
            )
        return InvalidRequest(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")
    if not path:
        return InvalidRequest("The request must be a JSON object.", code="invalid_type")
    sentence = message[:1].lower() + message[1:]
    return InvalidRequest(f"Invalid value for '{path}': {sentence}.", param=path, code="invalid_type")
