"""Refusals and in-band errors -> one kind of ours: https://platform.claude.com/docs/en/api/errors.

The same models answer on Vertex AI (Google's error bodies) and Bedrock (`{"message"}`, the type in a header); there the
status decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbook.dialects.waiting import retry_after
from tollbook.errors import Kind, UpstreamError
from tollbook.transport.wire import decode

_BY_TYPE: dict[str, Kind] = {
    "invalid_request_error": "bad_request",
    "request_too_large": "bad_request",
    "authentication_error": "auth",
    "permission_error": "auth",
    "billing_error": "auth",
    "not_found_error": "not_found",
    "rate_limit_error": "rate_limit",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
    "api_error": "server",
    # Exceptions of Bedrock's event streams
    # (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html).
    "throttlingException": "rate_limit",
    "serviceUnavailableException": "overloaded",
    "modelTimeoutException": "timeout",
    "modelStreamErrorException": "server",
    "internalServerException": "server",
    "validationException": "bad_request",
}
_BY_STATUS: dict[int, Kind] = {
    400: "bad_request",
    401: "auth",
    402: "auth",
    403: "auth",
    404: "not_found",
    408: "timeout",
    409: "bad_request",
    413: "bad_request",
    422: "bad_request",
    424: "server",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}


def error(status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
    """The refusal in this answer; `body` may be anything."""
    named = {name.lower(): value for name, value in headers.items()}
    try:
        value = decode(body)
    except ValueError:
        value = None
    if isinstance(value, list) and value:  # Vertex AI wraps the error of a streamed request in a list
        value = value[0]
    problem = _problem(value)
    message = problem.get("message")
    return UpstreamError(
        message if isinstance(message, str) and message else f"The upstream answered {status} without saying why.",
        _BY_TYPE.get(str(problem.get("type")))
        or _BY_STATUS.get(status)
        or ("server" if status >= 500 else "bad_request"),
        upstream_status=status,
        retry_after=retry_after(named),
        request_id=_request_id(value) or named.get("request-id") or named.get("x-amzn-requestid"),
    )


def in_band(event: dict[str, Any]) -> UpstreamError:
    """The error that this event of a stream tells: Anthropic's `error`, or an exception of Bedrock's event stream."""
    problem = _problem(event)
    kind = _BY_TYPE.get(str(problem.get("type")), "server")
    message = problem.get("message")
    return UpstreamError(
        message if isinstance(message, str) and message else "The upstream failed in the middle of its answer.",
        kind,
        request_id=_request_id(event),
    )


def _problem(value: Any) -> dict[str, Any]:
    """The object that holds `type` and `message`."""
    if not isinstance(value, dict):
        return {}
    inner = value.get("error")
    if isinstance(inner, str):
        return {"message": inner}
    return inner if isinstance(inner, dict) else value


def _request_id(value: Any) -> str | None:
    found = value.get("request_id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None
