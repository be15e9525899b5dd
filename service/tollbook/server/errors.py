"""Litestar's own refusals (no such path, wrong method, oversize) in OpenAI's envelope."""

from __future__ import annotations

import logging
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from tollbook.errors import TollbookError

_log = logging.getLogger("tollbook")

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large", 400: "invalid_request"}


def http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """A refusal of the framework."""
    status = error.status_code
    detail = "The request body is too large." if status == 413 else error.detail
    if status in (404, 405):
        detail = f"{request.method} {request.url.path} is not part of this API."
    shaped = TollbookError(
        detail,
        status=status,
        type="invalid_request_error" if status < 500 else "server_error",
        code=_CODES.get(status, "http_error"),
    )
    headers = {k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"}
    return Response(shaped.envelope(), status_code=status, headers=headers)


def own_error(request: Request[Any, Any, Any], error: TollbookError) -> Response[dict[str, Any]]:  # noqa: ARG001 - Litestar's signature
    """A refusal of ours outside a call (admin routes)."""
    return Response(error.envelope(), status_code=error.status, headers=error.headers)


def fault(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """A defect of ours: logged with its trace, told without it."""
    _log.error("%s %s failed inside", request.method, request.url.path, exc_info=error)
    shaped = TollbookError("The gateway failed inside.", code="internal_error")
    return Response(shaped.envelope(), status_code=500)
