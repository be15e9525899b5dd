"""What the event loop does for telemetry: ids in advance, and handing over what is over. Microseconds.

Only the request is known to the context, because the route's handler runs inside it; a call is known by its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from tollbook.call import Attempt, Call

from . import names
from .clerk import Answered, Clerk, Finished
from .content import Snapshot
from .context import Caller, told
from .sampling import Decision, span_id, trace_id
from .spans import Served, Standing, served_of, server_of


@dataclass(slots=True)
class Serving:
    """The HTTP request that is being served in this context."""

    standing: Standing
    span_id: str
    caller: Caller
    scope: Mapping[str, object]
    call: Call | None = None

    @property
    def route(self) -> str:
        """The template of its path, once it was routed."""
        return str(self.scope.get("path_template") or "")


serving: ContextVar[Serving | None] = ContextVar("tollbook_serving", default=None)


@dataclass(slots=True)
class _Live:
    """A call under way."""

    standing: Standing
    request: Serving | None
    served: Served | None = None
    """Set when the client left before the call was booked."""


class CallObserver:
    """An `Observer` for a server: every call gets its place in a trace, and goes to the clerk when it is over.

    With `ids` False there are no traces at all. `capture`: whether content may be looked at.
    """

    def __init__(
        self,
        clerk: Clerk,
        decision: Decision,
        *,
        ids: bool = True,
        capture: bool = False,
        send_baggage: bool = False,
    ) -> None:
        self._clerk = clerk
        self.decision = decision
        self.ids = ids
        self._capture = capture
        self._send_baggage = send_baggage
        self._live: dict[str, _Live] = {}

    def begins(self, call: Call) -> None:
        request = serving.get()
        if request is not None:
            request.call = call
        if not self.ids:
            self._live[call.id] = _Live(Standing(""), request)
            return
        inner = call.operation in names.OPERATIONS
        if request is None:
            trace = trace_id()
            standing = Standing(trace, sampled=self.decision(trace, names.OPERATIONS.get(call.operation, "call")))
            call.span_id = span_id()
        else:
            above = request.standing
            call.span_id = server_of(request.span_id) if inner else request.span_id
            if inner:
                baggage = told(request.caller.baggage) if request.caller.baggage else {}
                standing = Standing(above.trace_id, request.span_id, False, above.sampled, above.state, baggage)
            else:
                standing = above
        call.trace_id = standing.trace_id
        self._live[call.id] = _Live(standing, request)

    def attempt_begins(self, call: Call, attempt: Attempt) -> Mapping[str, str]:
        live = self._live.get(call.id)
        if live is None or not self.ids:
            return {}
        standing = live.standing
        attempt.span_id = span_id()
        # W3C Trace Context §3.2: the receiver's parent is this attempt, not the caller's span.
        flags = "01" if standing.sampled else "00"
        headers = {"traceparent": f"00-{standing.trace_id}-{attempt.span_id}-{flags}"}
        if standing.state:
            headers["tracestate"] = standing.state
        if self._send_baggage and live.request is not None and live.request.caller.baggage:
            headers["baggage"] = live.request.caller.baggage
        return headers

    def attempt_ends(self, call: Call, attempt: Attempt) -> None:  # noqa: ARG002 - an observer's signature
        if call.id not in self._live and call.id.endswith("_background") and call.span_id:
            self._adopt(call)

    def ends(self, call: Call) -> None:
        live = self._live.pop(call.id, None)
        if live is None:
            self._recovered(call)
            return
        content = None
        if self._capture and call.operation == "create" and call.keep == "full" and call.attempts:
            content = Snapshot(call)
        # Whoever waits for the clerk need not hold what a client sent.
        call.request = {name: call.request[name] for name in _TUNING if name in call.request}
        route = live.request.route if live.request is not None else ""
        self._clerk.hand(Finished(call, live.standing, route, content))
        if live.served is not None:
            self._clerk.hand(Answered(live.served, call))

    def served(self, request: Serving, served: Served) -> None:
        """An HTTP request is over. Its call, if it is still being booked behind a client that left, comes first."""
        live = self._live.get(request.call.id) if request.call is not None else None
        if live is not None and live.request is request:
            live.served = served
        else:
            self._clerk.hand(Answered(served, request.call))

    def _recovered(self, call: Call) -> None:
        """A call that a killed process had begun: its trace is told with the ids that were given then."""
        if not call.trace_id or not call.span_id:
            self._clerk.hand(Finished(call, Standing("")))
            return
        served = served_of(call)
        sampled = self.decision(call.trace_id, served.method)
        standing = Standing(call.trace_id, served.span_id, sampled=sampled)
        self._clerk.hand(Finished(call, standing, served.route))
        if sampled:
            self._clerk.hand(Answered(served, call))

    def _adopt(self, call: Call) -> None:
        """The bill of a response that was made in background, seen at last: a span of its own below the one that ordered
        it, so that its usage stands in its trace, once."""
        standing = Standing(call.trace_id, call.span_id, sampled=self.decision(call.trace_id, "chat"))
        call.parent_span = (call.trace_id, call.span_id)
        call.span_id = span_id()
        self._live[call.id] = _Live(standing, None)


_TUNING = ("seed", "top_k", "frequency_penalty", "presence_penalty", "stop")
