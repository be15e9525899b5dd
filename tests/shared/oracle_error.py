"""Error answers of every provider: status, code and message -> one kind.

Kinds are those of tollbook.errors. What decides is the HTTP status, unless a machine-readable code says more:

* OpenAI and those like it: https://platform.openai.com/docs/guides/error-codes
* Anthropic: https://docs.claude.com/en/api/errors
* Google: google.rpc.ErrorInfo in `details` (a wrong API key is a 400 with reason API_KEY_INVALID)
* AWS: the exception's name is in `x-amzn-errortype`, `:http://...` after it is noise
"""

from __future__ import annotations

import json
from typing import Any

from .oracle import Failure, Said

_BY_CODE = {
    "context_length_exceeded": "context_length",
    "exceed_context_size_error": "context_length",  # llama.cpp, in `type`
    "too_many_tokens": "context_length",  # Cohere, in `error_type`
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "model_not_found": "not_found",
    "deploymentnotfound": "not_found",
    "api_key_invalid": "auth",
    "invalid_api_key": "auth",
    "insufficient_quota": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "overloaded_error": "overloaded",
    "api_error": "server",
    "server_error": "server",
    "authentication_error": "auth",
    "permission_error": "auth",
    "not_found_error": "not_found",
    "throttlingexception": "rate_limit",
    "modelnotreadyexception": "overloaded",
    "serviceunavailableexception": "overloaded",
    "modeltimeoutexception": "timeout",
    "resourcenotfoundexception": "not_found",
    "accessdeniedexception": "auth",
    "unrecognizedclientexception": "auth",
    "expiredtokenexception": "auth",
    "resource_exhausted": "rate_limit",
    "unauthenticated": "auth",
    "permission_denied": "auth",
}


# Words that hosts put into `type` whatever happened: an HTTP status says more.
_VAGUE = ("api_error", "server_error")


def kind_of(status: int | None, *codes: Any) -> str:
    """The kind of an error with this HTTP status (None inside a stream) and these codes and types."""
    for code in codes:
        if status is not None and code in _VAGUE:
            continue
        if isinstance(code, str) and code.lower() in _BY_CODE:
            return _BY_CODE[code.lower()]
        if status is None and isinstance(code, int) and 400 <= code < 600:
            status = code
    if status is None:
        return "bad_request" if "invalid_request_error" in codes else "server"
    if status in (401, 403):
        return "auth"
    if status == 404:
        return "not_found"
    if status == 429:
        return "rate_limit"
    if status in (408, 504):
        return "timeout"
    if status in (503, 529):
        return "overloaded"
    return "server" if status >= 500 else "bad_request"


def message_of(body: Any) -> str:
    """The provider's own words, in whichever of the known places they are."""
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    places: list[Any] = [error] if isinstance(error, str) else []
    if isinstance(error, dict):
        places.append(error.get("message"))
    places += [body.get("message"), body.get("detail"), body.get("Message")]
    return next((place for place in places if isinstance(place, str) and place), "")


def codes_of(body: Any, headers: dict[str, str]) -> list[Any]:
    """Every machine-readable word about the error, the most particular first."""
    found: list[Any] = []
    exception = headers.get("x-amzn-errortype", "").split(":")[0]
    if exception:
        found.append(exception)
    if not isinstance(body, dict):
        return found
    error = body.get("error")
    for place in (error, body):
        if isinstance(place, dict):
            details = place.get("details")
            listed = details if isinstance(details, list) else []
            found += [detail.get("reason") for detail in listed if isinstance(detail, dict)]
            found += [place.get("code"), place.get("error_type"), place.get("type"), place.get("status")]
    return found


def said(recording: Any) -> Said:
    try:
        body = json.loads(recording.body)
    except ValueError:
        body = None
    headers = {name.lower(): value for name, value in recording.headers.items()}
    kind = kind_of(recording.status, *codes_of(body, headers))
    return Said(stop="error", failure=Failure(kind=kind, message=message_of(body), status=recording.status))
