"""Google's errors -> one kind of ours.

`{"error": {"code", "message", "status", "details": []}}`, google.rpc.Status in JSON
(https://cloud.google.com/apis/design/errors, https://ai.google.dev/gemini-api/docs/troubleshooting), as a body, as the
only element of a list (a stream that is not SSE), or between the chunks of a stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tollbook.dialects.waiting import retry_after
from tollbook.errors import Kind, UpstreamError
from tollbook.transport.wire import decode

_BY_STATUS: Mapping[str, Kind] = {
    "INVALID_ARGUMENT": "bad_request",
    "FAILED_PRECONDITION": "bad_request",
    "OUT_OF_RANGE": "bad_request",
    "ALREADY_EXISTS": "bad_request",
    "UNIMPLEMENTED": "bad_request",
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "auth",
    "NOT_FOUND": "not_found",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
    "INTERNAL": "server",
    "UNKNOWN": "server",
    "ABORTED": "server",
    "CANCELLED": "server",
    "DATA_LOSS": "server",
}
_BY_CODE: Mapping[int, Kind] = {
    401: "auth",
    403: "auth",
    404: "not_found",
    408: "timeout",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
# ErrorInfo.reason of refused credentials (google/api/error_reason.proto). A wrong key is a 400 INVALID_ARGUMENT.
_CREDENTIALS = re.compile(
    r"API_KEY_|ACCESS_TOKEN_|CREDENTIALS_|ACCOUNT_STATE_INVALID|SERVICE_DISABLED|BILLING_DISABLED"
)
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)s")
_LONGEST_MESSAGE = 2000


def error(status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamError:
    """See `tollbook.dialects.Dialect.error`."""
    try:
        value = decode(body)
    except ValueError:
        value = None
    found = find(value)
    if found is None:
        text = body.decode("utf-8", "replace").strip()[:_LONGEST_MESSAGE]
        found = {"message": text or f"Gemini answered with status {status} and no message."}
    return fault(found, status, headers)


def find(value: Any) -> dict[str, Any] | None:
    """The error object in a decoded body or chunk, or None when it holds none."""
    if isinstance(value, list):
        return next((found for found in map(find, value) if found is not None), None)
    if not isinstance(value, dict) or value.get("error") is None:
        return None
    inner = value["error"]
    return inner if isinstance(inner, dict) else {"message": str(inner)}


def fault(inner: dict[str, Any], status: int | None = None, headers: Mapping[str, str] | None = None) -> UpstreamError:
    """An error object as an exception. Without an HTTP `status` (inside a stream) its own `code` counts."""
    code = inner.get("code")
    upstream = status if status is not None else code if isinstance(code, int) and not isinstance(code, bool) else None
    kind = _kind(inner, upstream)
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    wait = next((_seconds(d.get("retryDelay")) for d in _details(inner, "RetryInfo")), None)
    request_id = next((str(d["requestId"]) for d in _details(inner, "RequestInfo") if d.get("requestId")), None)
    return UpstreamError(
        str(inner.get("message") or inner.get("status") or "Gemini gave an error without a message."),
        kind,
        upstream_status=upstream,
        retry_after=retry_after(lower) if wait is None else wait,
        request_id=request_id or lower.get("x-request-id") or lower.get("x-goog-request-id"),
    )


def _kind(inner: dict[str, Any], upstream: int | None) -> Kind:
    if any(_CREDENTIALS.match(str(d.get("reason"))) for d in _details(inner, "ErrorInfo")):
        return "auth"
    by_status = _BY_STATUS.get(str(inner.get("status")))
    if by_status is not None:
        return by_status
    if upstream is None or upstream < 400:
        return "server"
    return _BY_CODE.get(upstream) or ("bad_request" if upstream < 500 else "server")


def _details(inner: dict[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """The details of one type: "type.googleapis.com/google.rpc.RetryInfo" and the like."""
    details = inner.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type")).endswith("." + kind):
            yield detail


def _seconds(duration: Any) -> float | None:
    """A google.protobuf.Duration in JSON: "48.9s"."""
    found = _SECONDS.fullmatch(duration) if isinstance(duration, str) else None
    return float(found[1]) if found else None
