"""The SERVER span, as plain ASGI: one per request, named by the route's template, nothing per chunk.

(The framework's own plugin makes a span for every chunk that is sent and puts raw paths into names.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import time_ns
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from . import genai, names
from .observer import Serving, SpanObserver, serving

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LONGEST_CONTEXT = 8192
"""Characters of propagation headers that are looked at."""


class ServerSpans:
    """Wraps an application. `observer()` answers None while telemetry is off; then nothing is done."""

    def __init__(self, app: App, observer: Callable[[], SpanObserver | None], trust: str) -> None:
        self._app = app
        self._observer = observer
        self._trust = trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        observer = self._observer()
        if scope["type"] != "http" or observer is None:
            await self._app(scope, receive, send)
            return
        method = str(scope.get("method", "GET"))
        parent, links = self._caller(scope)
        span = observer.tracer.start_span(
            method,
            context=parent,
            kind=SpanKind.SERVER,
            links=links,
            start_time=time_ns(),
            attributes={names.HTTP_METHOD: method},
        )
        request = Serving(span)
        token = serving.set(request)
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            serving.reset(token)
            if span.is_recording():
                self._finish(request, scope, method, status)
            span.end()

    def _caller(self, scope: Scope) -> tuple[Context, list[Link]]:
        """What the caller's trace headers mean to us: a parent, a link, or nothing."""
        fresh = Context()
        if self._trust == "ignore":
            return fresh, []
        headers = {
            k.decode("latin-1"): v.decode("latin-1")
            for k, v in scope["headers"]
            if k in (b"traceparent", b"tracestate") and len(v) <= _LONGEST_CONTEXT
        }
        if "traceparent" not in headers:
            return fresh, []
        found = propagate.extract(headers, context=fresh)
        if self._trust == "parent":
            return found, []
        context = trace.get_current_span(found).get_span_context()
        return fresh, [Link(context)] if context.is_valid else []

    @staticmethod
    def _finish(request: Serving, scope: Scope, method: str, status: int) -> None:
        span = request.span
        route = scope.get("path_template")
        attributes: genai.Attributes = {
            names.URL_PATH: str(scope.get("path", "")),
            names.URL_SCHEME: str(scope.get("scheme", "http")),
            names.NETWORK_VERSION: str(scope.get("http_version", "1.1")),
        }
        if route:
            span.update_name(f"{method} {route}")
            attributes[names.HTTP_ROUTE] = str(route)
        server = scope.get("server")
        if server:
            attributes[names.SERVER_ADDRESS], attributes[names.SERVER_PORT] = str(server[0]), int(server[1] or 0)
        for name, value in scope["headers"]:
            if name == b"user-agent":
                attributes[names.USER_AGENT] = value.decode("latin-1")[:256]
        if status:
            attributes[names.HTTP_STATUS] = status
        if request.call is not None:
            attributes.update(genai.summary(request.call))
        if status >= 500:
            attributes[names.ERROR_TYPE] = str(status)
            span.set_status(Status(StatusCode.ERROR))
        span.set_attributes(attributes)
