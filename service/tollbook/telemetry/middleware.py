"""An HTTP request's place in a trace, as plain ASGI: one SERVER span, named by the route's template, nothing per chunk.

(The framework's own plugin makes a span for every chunk that is sent and puts raw paths into names.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from time import time_ns
from typing import Any

from tollbook.config.types import TrustRemoteContext

from . import context
from .meter import Reading
from .observer import CallObserver, Serving, serving
from .sampling import span_id, trace_id
from .spans import Link, Served, Standing

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_UNTOLD = ("/metrics", "/health", "/healthz", "/readyz")
"""Paths that machines ask for all day; they are in no trace."""


class Requests:
    """Wraps an application. `observer()` answers None before the start; then nothing is done."""

    def __init__(
        self,
        app: App,
        observer: Callable[[], CallObserver | None],
        trust: TrustRemoteContext,
        propagators: frozenset[str],
    ) -> None:
        self._app = app
        self._observer = observer
        self._trust = trust
        self._propagators = propagators
        self._active: Counter[str] = Counter()

    def active(self) -> Iterable[Reading]:
        """How many requests are being answered, by method."""
        return [((method,), count) for method, count in self._active.copy().items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        observer = self._observer()
        if scope["type"] != "http" or observer is None or scope["path"].startswith(_UNTOLD):
            await self._app(scope, receive, send)
            return
        started = time_ns()
        method = str(scope.get("method", "GET"))
        request = self._begun(observer, scope, method)
        token = serving.set(request)
        counted = method if method in _METHODS else "_OTHER"
        self._active[counted] += 1
        status = 0
        standing = request.standing
        flags = "01" if standing.sampled else "00"
        # https://w3c.github.io/trace-context/#traceresponse-header: what became of the caller's trace.
        told = (b"traceresponse", f"00-{standing.trace_id}-{request.span_id}-{flags}".encode())

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if standing.trace_id:
                    message["headers"] = [*message.get("headers", ()), told]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            serving.reset(token)
            self._active[counted] -= 1
            observer.served(request, _served(request, scope, method, status, started))

    def _begun(self, observer: CallObserver, scope: Scope, method: str) -> Serving:
        """What the caller's trace means to us: a parent, a link, or nothing."""
        caller = context.read(scope["headers"], self._propagators) if self._trust != "ignore" else context.NOBODY
        if not observer.ids:
            return Serving(Standing(""), "", caller, scope)
        if caller.trace_id and self._trust == "parent":
            sampled = observer.decision(caller.trace_id, method, caller)
            standing = Standing(caller.trace_id, caller.span_id, True, sampled, caller.state)
        else:
            trace = trace_id()
            links = (Link(caller.trace_id, caller.span_id, {}),) if caller.trace_id else ()
            standing = Standing(trace, sampled=observer.decision(trace, method), links=links)
        return Serving(standing, span_id(), caller, scope)


_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def _served(request: Serving, scope: Scope, method: str, status: int, started: int) -> Served:
    server = scope.get("server") or ("", 0)
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    return Served(
        standing=request.standing,
        span_id=request.span_id,
        method=method,
        route=request.route,
        status=status,
        started=started,
        ended=time_ns(),
        path=str(scope.get("path", ""))[:1024],
        scheme=str(scope.get("scheme", "http")),
        version=str(scope.get("http_version", "1.1")),
        host=str(server[0]),
        port=int(server[1] or 0),
        user_agent=agent.decode("latin-1")[:256],
    )
