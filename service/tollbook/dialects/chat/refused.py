"""Errors of Chat Completions hosts: bodies of many shapes, one kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbook.dialects.waiting import retry_after
from tollbook.errors import Kind, UpstreamError
from tollbook.transport.wire import decode

BY_STATUS: Mapping[int, Kind] = {
    401: "auth",
    402: "rate_limit",  # the account has no credit left: as OpenAI's insufficient_quota
    403: "auth",
    404: "not_found",
    408: "timeout",
    429: "rate_limit",
    498: "overloaded",  # Groq: no capacity in the flex tier
    503: "overloaded",
    504: "timeout",
    522: "timeout",
    524: "timeout",
    529: "overloaded",
}

_BY_CODE: Mapping[str, Kind] = {
    "context_length_exceeded": "context_length",
    "exceed_context_size_error": "context_length",  # llama.cpp
    "too_many_tokens": "context_length",  # Cohere
    "content_filter": "content_filter",
    "content_policy_violation": "content_filter",
    "responsibleaipolicyviolation": "content_filter",  # Azure, in innererror
    "data_inspection_failed": "content_filter",  # Alibaba
    "1301": "content_filter",  # Z.ai: unsafe content
    "rate_limit_exceeded": "rate_limit",  # Groq says 413 when one request exceeds the tokens per minute
    "insufficient_quota": "rate_limit",
    "rate_limit_error": "rate_limit",
    "overloaded_error": "overloaded",
    "engine_overloaded_error": "overloaded",  # Moonshot
    "model_not_found": "not_found",
    "deploymentnotfound": "not_found",  # Azure
    "invalid_api_key": "auth",
    "authentication_error": "auth",
    "permission_error": "auth",
}

_REQUEST_IDS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "cf-ray")


def error(
    status: int, body: bytes, headers: Mapping[str, str], *, by_status: Mapping[int, Kind] = BY_STATUS
) -> UpstreamError:
    """The provider's refusal: its message and request id kept, `retry_after` in seconds. `body` may be anything."""
    try:
        value = decode(body)
    except ValueError:
        value = _plain(body)
    low = {name.lower(): text for name, text in headers.items()}
    return refusal(value, status, low, by_status=by_status)


def refusal(
    value: Any,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    by_status: Mapping[int, Kind] = BY_STATUS,
) -> UpstreamError:
    """The error in a body or in a frame. `status` is None inside a stream that began well; header names are lower case.

    Shapes: `{"error": {...}}` (most), `{"error": "text"}` (Venice), `{"detail": ...}` (Mistral, FastAPI), the members
    at the top level (Mistral, doubleword, vLLM), `{"code", "error": "text"}` (xAI), a list around any of them (Gemini).
    """
    headers = headers or {}
    if isinstance(value, list):
        value = next((v for v in value if isinstance(v, dict)), None)
    top = value if isinstance(value, dict) else {}
    inner = top.get("error")
    detail = inner if isinstance(inner, dict) else top
    code = detail.get("code")
    told = _status(detail.get("status_code")) or _status(detail.get("raw_status_code")) or _status(code)
    status = status if status is not None and status >= 400 else told or status
    request_id = next((headers[n] for n in _REQUEST_IDS if headers.get(n)), None) or _text(top.get("request_id"))
    return UpstreamError(
        _message(value, detail, inner) or f"The upstream answered with status {status} and no message.",
        _kind(status, detail, by_status),
        upstream_status=status,
        code=None if _status(code) else _text(code),
        param=_text(detail.get("param")),
        retry_after=retry_after(headers),
        request_id=request_id,
    )


def _kind(status: int | None, detail: Mapping[str, Any], by_status: Mapping[int, Kind]) -> Kind:
    codes = _codes(detail)
    for code in codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    metadata = detail.get("metadata")
    if status == 403 and isinstance(metadata, dict) and metadata.get("reasons"):
        return "content_filter"  # https://openrouter.ai/docs/api-reference/errors: moderation
    if status is None:
        return "bad_request" if "invalid_request_error" in codes else "server"
    return by_status.get(status, "bad_request" if 400 <= status < 500 else "server")


def _codes(detail: Mapping[str, Any]) -> list[str]:
    """Names that tell the kind, the most exact first."""
    found = [detail.get("code"), detail.get("type"), detail.get("error_type")]
    inner = detail.get("innererror") or detail.get("inner_error")
    if isinstance(inner, dict):
        found.insert(0, inner.get("code"))
    return [code.lower() for code in found if isinstance(code, str)]


def _message(value: Any, detail: Mapping[str, Any], inner: Any) -> str:
    if isinstance(value, str):
        return value
    told = detail.get("message") or (inner if isinstance(inner, str) else None) or detail.get("detail")
    if isinstance(told, list):
        told = "; ".join(_text(t.get("msg")) or "" if isinstance(t, dict) else str(t) for t in told)
    message = _text(told) or _text(detail.get("msg")) or ""
    metadata = detail.get("metadata")
    raw = _text(metadata.get("raw")) if isinstance(metadata, dict) else None
    return f"{message}: {raw}" if raw and raw != message else message


def _plain(body: bytes) -> str:
    """A short text body is a message; a page of HTML is not."""
    text = body[:2000].decode("utf-8", "replace").strip()
    return "" if text.startswith("<") else text[:500]


def _status(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
