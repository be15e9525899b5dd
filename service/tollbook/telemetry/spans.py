"""Spans as plain facts, made when a call is over: SERVER -> inference -> one CLIENT span per attempt.

Nothing is a span while it lives, so nothing is held across a `yield` and a client that hangs up at any event leaves whole
spans. What is fixed in advance are the ids, because providers, rows and headers are told them. The same functions make the
spans of a call from its row: `telemetry.replay`.
"""

from __future__ import annotations

from typing import NamedTuple

from tollbook.call import Attempt, Call

from . import genai, names
from .genai import Attributes, Manner

SERVER, CLIENT = 2, 3
"""SpanKind, as OTLP numbers them."""


class Event(NamedTuple):
    """A moment within a span, in nanoseconds since 1970."""

    name: str
    time: int
    attributes: Attributes


class Link(NamedTuple):
    """Another span that this one follows; ids in hex."""

    trace_id: str
    span_id: str
    attributes: Attributes


class Span(NamedTuple):
    """A finished span. Ids in hex, times in nanoseconds since 1970; `parent_id` "" where it is the first of its trace here.

    `error` is None for a span that went well, else the status's description, which may be empty.
    """

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: Attributes
    error: str | None = None
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    state: str = ""
    """W3C `tracestate`."""
    remote_parent: bool = False
    dropped: int = 0
    """Attributes that a limit of the environment left out."""


class Standing(NamedTuple):
    """Where a call, or an HTTP request, stands in a trace."""

    trace_id: str
    parent_id: str = ""
    remote_parent: bool = False
    sampled: bool = False
    state: str = ""
    baggage: Attributes = {}  # noqa: RUF012 - a NamedTuple's default, never written to
    """What the caller's baggage says of the call, under the names of attributes."""
    links: tuple[Link, ...] = ()


class Served(NamedTuple):
    """An HTTP request that was answered, or left by its client."""

    standing: Standing
    span_id: str
    method: str
    route: str
    """The template of its path; "" where there is no such route."""
    status: int
    """0 when no answer was begun."""
    started: int
    ended: int
    path: str = ""
    scheme: str = "http"
    version: str = "1.1"
    host: str = ""
    port: int = 0
    user_agent: str = ""


def of_request(served: Served, call: Call | None) -> Span:
    """The SERVER span of a request, with the few facts of its call that a list of traces shows."""
    standing = served.standing
    attributes: Attributes = {names.HTTP_METHOD: served.method}
    optional = (
        (names.HTTP_ROUTE, served.route),
        (names.URL_PATH, served.path),
        (names.URL_SCHEME, served.scheme),
        (names.NETWORK_VERSION, served.version),
        (names.SERVER_ADDRESS, served.host),
        (names.SERVER_PORT, served.port),
        (names.USER_AGENT, served.user_agent),
        (names.HTTP_STATUS, served.status),
    )
    attributes.update((name, value) for name, value in optional if value)
    links = standing.links
    if call is not None:
        attributes.update(genai.summary(call))
        if call.operation not in names.OPERATIONS:
            links = (*links, *origin(call))
    failed = served.status >= 500
    if failed:
        attributes[names.ERROR_TYPE] = str(served.status)
    return Span(
        name=f"{served.method} {served.route}" if served.route else served.method,
        kind=SERVER,
        trace_id=standing.trace_id,
        span_id=served.span_id,
        parent_id=standing.parent_id,
        start=_micro(served.started),
        end=_micro(max(served.ended, served.started)),
        attributes=attributes,
        error="" if failed else None,
        links=links,
        state=standing.state,
        remote_parent=standing.remote_parent,
    )


def of_call(call: Call, standing: Standing, manner: Manner) -> list[Span]:
    """The inference span of a call and those of its attempts; none for an operation that has no model, and none for a
    call that was refused before any model was asked (the SERVER span says why)."""
    if call.operation not in names.OPERATIONS or manner.inference_span == "off" or refused(call):
        return []
    spans = [_inference(call, standing, manner)]
    spans += [_attempt(call, attempt, standing) for attempt in call.attempts if attempt.span_id]
    return spans


def served_of(call: Call) -> Served:
    """The request that a call was made by, where nothing is left of it but the call: as it must have been."""
    method, route = _ROUTES.get(call.operation, ("GET", ""))
    begun = call.stream and call.first_output is not None
    left = call.outcome == "client_disconnected"
    status = 200 if begun else 0 if left else call.status  # a stream that has begun was answered with 200
    inner = call.operation in names.OPERATIONS
    return Served(
        Standing(call.trace_id, sampled=True),
        server_of(call.span_id) if inner else call.span_id,
        method,
        route,
        status,
        call.started,
        call.ended or call.started,
    )


_ROUTES = {
    "create": ("POST", "/v1/responses"),
    "get": ("GET", "/v1/responses/{response_id}"),
    "delete": ("DELETE", "/v1/responses/{response_id}"),
    "cancel": ("POST", "/v1/responses/{response_id}/cancel"),
    "input_items": ("GET", "/v1/responses/{response_id}/input_items"),
    "input_tokens": ("POST", "/v1/responses/input_tokens"),
}


def refused(call: Call) -> bool:
    """Whether no upstream was asked because the request was not let in."""
    return call.operation == "create" and call.outcome == "rejected" and not call.attempts


def _inference(call: Call, standing: Standing, manner: Manner) -> Span:
    operation = names.OPERATIONS[call.operation]
    create = call.operation == "create"
    attributes = genai.inference(call, manner) if create else genai.fetch(call)
    attributes.update(standing.baggage)
    failed = call.outcome in ("failed", "client_disconnected", "rejected")
    return Span(
        name=f"{operation} {call.model}" if create and call.model else operation,
        kind=CLIENT,
        trace_id=standing.trace_id,
        span_id=call.span_id,
        parent_id=standing.parent_id,
        start=_micro(call.started),
        end=_micro(max(call.ended or call.started, call.started)),
        attributes=attributes,
        # Never the message: providers quote what they refuse, and a trace holds no prompt.
        error=(genai.error_type(call) or str(call.outcome)) if failed else None,
        events=milestones(call),
        links=origin(call) if call.parent_span is None or call.parent_span[1] != standing.parent_id else (),
        state=standing.state,
        remote_parent=standing.remote_parent,
    )


def milestones(call: Call) -> tuple[Event, ...]:
    """The moments of a stream: its first event, its first output, its longest silence, its end."""
    if not call.stream or not call.attempts:
        return ()
    found: list[Event] = []
    first = next((a.first_event for a in call.attempts if a.first_event), None)
    if first is not None:
        found.append(Event(names.FIRST_EVENT, first, {}))
    if call.first_output is not None:
        found.append(Event(names.FIRST_OUTPUT, call.first_output, {}))
    if call.longest_gap_at is not None:
        found.append(Event(names.LONGEST_SILENCE, call.longest_gap_at, {names.LONGEST_GAP: call.longest_gap / 1e9}))
    if call.ended is not None and call.outcome is not None:
        found.append(Event(names.TERMINAL, call.ended, {names.OUTCOME: call.outcome}))
    return tuple(found)


def _attempt(call: Call, attempt: Attempt, standing: Standing) -> Span:
    return Span(
        name="POST",
        kind=CLIENT,
        trace_id=standing.trace_id,
        span_id=attempt.span_id,
        parent_id=call.span_id,
        start=_micro(attempt.started),
        end=_micro(max(attempt.ended or call.ended or attempt.started, attempt.started)),
        attributes=genai.attempt(attempt),
        error=attempt.error_kind,
        state=standing.state,
    )


def origin(call: Call) -> tuple[Link, ...]:
    """The span of the call that made what this one follows, reads, cancels or deletes."""
    if call.parent_span is None or not all(call.parent_span):
        return ()
    response_id = call.previous_response_id if call.operation == "create" else call.response_id
    return (Link(*call.parent_span, {names.RESPONSE_ID: response_id or ""}),)


def _micro(nanoseconds: int) -> int:
    """To the microsecond, as rows keep times: a span that is told again from its row is the same span."""
    return nanoseconds // 1000 * 1000


def server_of(span_id: str) -> str:
    """The id of the SERVER span above an inference span, and the other way round. One follows from the other, so that the
    row of a call, which holds one of them, tells both."""
    return f"{int(span_id, 16) ^ 1 << 63:016x}"
