"""Log records: the exception of a call that failed, its details where content is captured, and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tollbook.call import Call
from tollbook.errors import UpstreamError

from . import genai, names

INFO, WARN = 9, 13
"""SeverityNumber, as OTLP numbers them."""


class Record(NamedTuple):
    """A log record of OpenTelemetry: an event with a name. Times are nanoseconds since 1970."""

    name: str
    time: int
    severity: int
    attributes: Mapping[str, Any]
    body: str | None = None
    trace_id: str = ""
    span_id: str = ""
    sampled: bool = False

    @property
    def severity_text(self) -> str:
        return "WARN" if self.severity >= WARN else "INFO"


def exception(call: Call, *, sampled: bool) -> Record | None:
    """`gen_ai.client.operation.exception` for a create or fetch that failed, or None.

    The provider's own words are left out: providers quote what they refuse.
    """
    if call.error is None or call.outcome not in ("failed", "rejected") or call.operation not in names.OPERATIONS:
        return None
    error = call.error
    attributes: dict[str, Any] = {
        names.OPERATION: names.OPERATIONS[call.operation],
        names.EXCEPTION_TYPE: type(error).__name__,
        names.ERROR_TYPE: genai.error_type(call) or "_OTHER",
        names.CALL_ID: call.id,
        names.OUTCOME: call.outcome,
    }
    if not isinstance(error, UpstreamError):
        attributes[names.EXCEPTION_MESSAGE] = error.code or error.type
    if call.model:
        attributes[names.REQUEST_MODEL] = call.model
    if call.attempt is not None:
        attributes[names.PROVIDER] = genai.provider_name(call.attempt.provider)
    return Record(
        names.EXCEPTION_EVENT,
        call.ended or call.started,
        WARN,
        attributes,
        trace_id=call.trace_id,
        span_id=call.span_id,
        sampled=sampled,
    )


def details(call: Call, attributes: Mapping[str, Any], *, sampled: bool) -> Record:
    """`gen_ai.client.inference.operation.details`: all that the span says, and the content."""
    return Record(
        names.DETAILS_EVENT,
        call.ended or call.started,
        INFO,
        attributes,
        trace_id=call.trace_id,
        span_id=call.span_id,
        sampled=sampled,
    )
