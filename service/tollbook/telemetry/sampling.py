"""Whether a trace is told. Decided once for each request, before anything of it is written down; what is below follows.

The samplers are OpenTelemetry's own, so OTEL_TRACES_SAMPLER means what it says.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from .context import Caller

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.sampling import Sampler

_random = random.Random()  # noqa: S311 - trace ids are no secrets (W3C Trace Context §7.1 asks for randomness, not secrecy)
os.register_at_fork(after_in_child=_random.seed)


def trace_id() -> str:
    """A new one, in hex."""
    return f"{_random.getrandbits(128) or 1:032x}"


def span_id() -> str:
    """A new one, in hex. Neither it nor the id that `spans.server_of` makes of it is zero."""
    return f"{_random.getrandbits(63) or 1:016x}"


class Decision:
    """Asks a sampler; without one (traces go nowhere) nothing is told."""

    def __init__(self, sampler: Sampler | None) -> None:
        self._sampler = sampler
        self._always = False
        if sampler is not None:
            from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON

            self._always = sampler in (ALWAYS_ON, DEFAULT_ON)

    def __call__(self, trace: str, name: str, caller: Caller | None = None) -> bool:
        """`caller`: the span that goes on here; None where the trace begins."""
        if self._sampler is None:
            return False
        if self._always and caller is None:  # the default, which need not be asked
            return True
        from opentelemetry.sdk.trace.sampling import Decision as Said
        from opentelemetry.trace import SpanKind

        parent = None if caller is None else _context(caller)
        said = self._sampler.should_sample(parent, int(trace, 16), name, SpanKind.SERVER)
        return said.decision is Said.RECORD_AND_SAMPLE


def _context(caller: Caller) -> Context:
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    flags = TraceFlags(TraceFlags.SAMPLED if caller.sampled else TraceFlags.DEFAULT)
    found = SpanContext(int(caller.trace_id, 16), int(caller.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(found), Context())
