"""How Bedrock says no: in an error answer, or as an exception inside the event stream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbook.dialects.waiting import retry_after
from tollbook.errors import Kind, UpstreamError
from tollbook.transport.wire import decode

# Exception names in lower case: streams write them with a small first letter, headers with a capital one.
_KINDS: dict[str, Kind] = {
    "throttlingexception": "rate_limit",
    "toomanyrequestsexception": "rate_limit",
    "servicequotaexceededexception": "rate_limit",
    "modelnotreadyexception": "overloaded",
    "serviceunavailableexception": "overloaded",
    "internalserverexception": "server",
    "internalfailure": "server",
    "modelerrorexception": "server",
    "modelstreamerrorexception": "server",
    "modeltimeoutexception": "timeout",
    "validationexception": "bad_request",
    "conflictexception": "bad_request",
    "resourcenotfoundexception": "not_found",
    "unknownoperationexception": "not_found",
    "accessdeniedexception": "auth",
    "unrecognizedclientexception": "auth",
    "expiredtokenexception": "auth",
    "invalidsignatureexception": "auth",
    "incompletesignatureexception": "auth",
    "missingauthenticationtokenexception": "auth",
}

_LONGEST = 2000
"""Characters of a body that is no JSON which are worth telling."""


def error(status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
    """The kind by the exception's name in `x-amzn-errortype` (cut at the colon) or in `__type`, else by the status."""
    told = {name.lower(): value for name, value in headers.items()}
    try:
        answer = decode(body or b"null")
    except ValueError:
        answer = None
    fields: dict[str, Any] = answer if isinstance(answer, dict) else {}
    name = told.get("x-amzn-errortype") or str(fields.get("__type") or "").rpartition("#")[2]
    return UpstreamError(
        _message(fields) or _plain(body, told) or f"Bedrock answered {status}.",
        _kind(name.partition(":")[0], fields, status),
        upstream_status=status,
        retry_after=retry_after(told),
        request_id=told.get("x-amzn-requestid"),
    )


def in_band(event: Any) -> UpstreamError:
    """An exception frame: `{"type": <exception's name>, "message": ...}`."""
    fields: dict[str, Any] = event if isinstance(event, dict) else {}
    name = str(fields.get("type") or "")
    return UpstreamError(_message(fields) or f"Bedrock ended the stream: {name}.", _kind(name, fields, None))


def _kind(name: str, fields: dict[str, Any], status: int | None) -> Kind:
    kind = _KINDS.get(name.strip().lower())
    if name.lower().startswith(("modelstreamerror", "modelerror")):
        # What the model's own host had answered says more.
        original = fields.get("originalStatusCode")
        status = original if isinstance(original, int) else status
        return "rate_limit" if status == 429 else "overloaded" if status in (503, 529) else "server"
    if kind is not None:
        return kind
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
    return "bad_request" if status is not None and 400 <= status < 500 and status != 424 else "server"


def _message(fields: dict[str, Any]) -> str:
    told = fields.get("message") or fields.get("Message") or fields.get("originalMessage")
    return told if isinstance(told, str) else ""


def _plain(body: bytes, headers: dict[str, str]) -> str:
    text = body[:_LONGEST].decode("utf-8", "replace").strip()
    return "" if "html" in headers.get("content-type", "") or text.startswith(("<", "{", "[")) else text
