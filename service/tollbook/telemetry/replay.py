"""The spans of a call from its row: what a collector missed can be told again, with the same ids and times.

A row is what `Store.call` answers. What rows do not hold (baggage, rate limits of providers, the first event of a stream)
is not told again; the SERVER span is made from what is known of the request. Backends know a span by its trace and span id,
so what did arrive is not doubled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tollbook.call import Attempt, Call, Cost, Line
from tollbook.config import TelemetrySettings
from tollbook.errors import ConfigError, TollbookError, UpstreamError
from tollbook.responses.usage import Usage
from tollbook.version import VERSION

from . import environment as env
from . import names, spans
from .collector import collector
from .environment import Signal
from .export import OtlpSpans
from .genai import Manner
from .identity import resource
from .otlp.wire import Envelope
from .outbox import Outbox, Reason
from .spans import Span, Standing

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROOM = 64 * 1024 * 1024
_UNDER_WAY = 8 * 1024 * 1024


def spans_of(row: Mapping[str, Any], manner: Manner) -> list[Span]:
    """The spans of a row; none for a call that was in no trace."""
    call = call_of(row)
    if not call.trace_id or not call.span_id:
        return []
    ordered = call.parent_span if call.id.endswith("_background") else None
    if ordered is not None:  # the bill of a response that was made in background: below the call that ordered it
        return spans.of_call(call, Standing(ordered[0], ordered[1], sampled=True), manner)
    served = spans.served_of(call)
    return [
        spans.of_request(served, call),
        *spans.of_call(call, Standing(call.trace_id, served.span_id, sampled=True), manner),
    ]


def call_of(row: Mapping[str, Any]) -> Call:
    """A row as the call that it was."""
    call = Call(id=row["id"], operation=row["operation"], started=_time(row["started"]) or 0)
    for name in _SAME:
        value = row.get(name)
        if value is not None:
            setattr(call, name, value)
    call.tags, call.notes = tuple(row.get("tags") or ()), list(row.get("notes") or ())
    call.longest_gap = row.get("longest_gap_ns") or 0
    call.first_output, call.ended = _time(row.get("first_output")), _time(row.get("ended"))
    parent = row.get("parent_span")
    call.parent_span = (str(parent[0]), str(parent[1])) if parent and len(parent) > 1 else None
    call.error = _error(row.get("error"), call.status)
    call.attempts = [_attempt(each) for each in row.get("attempts") or ()]
    answered = next((each["number"] for each in row.get("attempts") or () if each.get("answered")), len(call.attempts))
    for each in call.attempts:  # beside one that was slow, and the other was quicker
        each.abandoned = each.number > answered
    return call


_SAME = (
    "model", "stream", "key_id", "key_alias", "team", "end_user", "response_id", "previous_response_id", "session_id",
    "outcome", "status", "finish", "events", "bytes_out", "requested_tier", "reasoning_effort", "max_output_tokens",
    "temperature", "top_p", "output_type", "continuity", "trace_id", "span_id",
)  # fmt: skip
"""Fields that a row and a call call the same."""

_SAME_OF_ATTEMPTS = (
    "host", "port", "backoff", "status_code", "outcome", "error_kind", "error_message", "upstream_request_id",
    "upstream_response_id", "served_model", "service_tier", "span_id",
)  # fmt: skip


def _attempt(row: Mapping[str, Any]) -> Attempt:
    found = Attempt(
        number=row["number"],
        deployment=row["deployment"],
        provider=row["provider"],
        model=row["model"],
        reason=row["reason"],
        started=_time(row["started"]) or 0,
    )
    for name in _SAME_OF_ATTEMPTS:
        value = row.get(name)
        if value is not None:
            setattr(found, name, value)
    found.first_byte, found.first_output = _time(row.get("first_byte")), _time(row.get("first_output"))
    found.ended = _time(row.get("ended"))
    usage = {name: value for name, value in row["usage"].items() if value is not None and name in Usage.__slots__}
    found.usage = Usage(**usage)
    found.cost = _cost(row["cost"])
    return found


def _cost(row: Mapping[str, Any]) -> Cost:
    lines = tuple(
        Line(each["kind"], each["quantity"], each["rate_pico"], each["amount_nano"]) for each in row.get("lines") or ()
    )
    return Cost(
        row["status"],
        lines,
        row["nano_usd"],
        row.get("price_version") or "",
        row.get("price_source") or "",
        input_rate=row.get("input_rate_pico"),
    )


def _error(row: Mapping[str, Any] | None, status: int) -> TollbookError | None:
    if row is None:
        return None
    if row.get("kind"):
        return UpstreamError(row.get("message") or "", row["kind"])
    return TollbookError(row.get("message") or "", status=status, type=row.get("type"), code=row.get("code"))


def _time(text: str | None) -> int | None:
    """An RFC 3339 time as nanoseconds since 1970, exact to the microsecond."""
    if text is None:
        return None
    passed = datetime.fromisoformat(text) - _EPOCH
    return (passed.days * 86_400_000_000 + passed.seconds * 1_000_000 + passed.microseconds) * 1000


class Counted(NamedTuple):
    """What became of spans."""

    delivered: int
    lost: int
    why: str = ""


class Delivery:
    """Posts spans to where the environment says traces go: in batches, tried again, bad ones left out.

    Raises ConfigError when traces go nowhere. `close` it.
    """

    def __init__(self, settings: TelemetrySettings, environment: Mapping[str, str]) -> None:
        found = env.read(environment, settings)
        target = found.targets.get("traces")
        if target is None:
            raise ConfigError("Traces go nowhere: set OTEL_EXPORTER_OTLP_ENDPOINT to where they should go.")
        envelope = Envelope(resource(settings, environment), names.SCOPE, VERSION, schema=names.SCHEMA)
        self._taken = self._lost = 0
        self._reasons: set[str] = set()
        self._outbox = Outbox("traces", collector(target), envelope, self, batching=found.spans, room=_ROOM)
        self._sink = OtlpSpans(self._outbox, found.limits)

    def take(self, told: Iterable[Span], *, patience: float = 60.0) -> None:
        """Post them. Waits while much is under way. Raises ConfigError when nothing gets through for `patience` seconds."""
        batch = list(told)
        self._sink.take(batch)
        self._taken += len(batch)
        if self._outbox.held > _UNDER_WAY and not self._outbox.flush(patience):
            raise ConfigError(f"The collector has taken nothing for {patience:g} s.")

    def close(self, seconds: float = 30.0) -> Counted:
        """Post what is left, for so long at the most; what became of all of them."""
        self._outbox.flush(seconds)
        self._outbox.close(1.0)
        return Counted(self._taken - self._lost, self._lost, ", ".join(sorted(self._reasons)))

    def delivered(self, signal: Signal, last: int) -> None:
        """An outbox's word; what was lost is counted, the rest was delivered."""

    def lost(self, signal: Signal, reason: Reason, count: int, first: int, last: int) -> None:  # noqa: ARG002 - as above
        self._lost += count
        self._reasons.add(reason)
