"""What is refused before any route is asked: WebSocket upgrades, and web pages that reach for an open gateway.

A gateway without a master key serves everybody on this machine - and a browser on it runs pages from anywhere. Such a page
could send a request here (it need not read the answer to spend money) or, by DNS rebinding, make its own name mean
127.0.0.1 and read the books. So without keys only requests addressed to a loopback name are answered, and none that a
foreign page sends (Fetch Metadata and Origin: https://web.dev/articles/fetch-metadata).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from tollbook.access.address import loopback
from tollbook.errors import Forbidden, TollbookError
from tollbook.transport.wire import encode

from .answers import send_json

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send


class Gate:
    """An ASGI application around the routes. `open_to_all` says that there is no master key."""

    def __init__(self, app: ASGIApp, *, open_to_all: bool) -> None:
        self._app = app
        self._open = open_to_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = str(scope["type"])
        if kind == "websocket":
            await _refuse_upgrade(receive, send)
        elif kind == "http" and self._open and (refusal := foreign(dict(scope["headers"]))) is not None:
            await send_json(send, refusal.status, refusal.envelope(), {})
        else:
            await self._app(scope, receive, send)


def foreign(headers: dict[bytes, bytes]) -> TollbookError | None:
    """Why a request is not from this machine's own programs, or None if it may be."""
    host = _host("//" + headers.get(b"host", b"localhost").decode("latin-1"))
    if not loopback(host):
        return Forbidden(
            f"Without a master key only requests to this machine's own names are served, not to {host!r}. "
            "Set general_settings.master_key to serve others.",
            code="foreign_host",
        )
    origin = headers.get(b"origin", b"").decode("latin-1")
    page = origin and not loopback(_host(origin))
    if page or headers.get(b"sec-fetch-site") == b"cross-site":
        return Forbidden(
            "Without a master key no web page from elsewhere is served. Set general_settings.master_key and send a key.",
            code="foreign_origin",
        )
    return None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # brackets that do not match
        return ""


async def _refuse_upgrade(receive: Receive, send: Send) -> None:
    """426, so that clients that try a WebSocket first (Codex) come back over HTTP at once."""
    await receive()
    error = TollbookError(
        "WebSocket is not offered; use HTTP with server-sent events.",
        status=426,
        type="invalid_request_error",
        code="upgrade_required",
    )
    body = encode(error.envelope())
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    refuse = cast("Any", send)
    await refuse({"type": "websocket.http.response.start", "status": 426, "headers": headers})
    await refuse({"type": "websocket.http.response.body", "body": body, "more_body": False})
