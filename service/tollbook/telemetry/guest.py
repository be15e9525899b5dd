"""Spans as a guest in somebody else's process: into the tracer provider that it has, and none is ever installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tollbook.call import Attempt, Call
from tollbook.version import VERSION

from . import names

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from .observer import SpanObserver


class GuestSpans:
    """An `Observer` that makes spans with the given provider, else with the process's own.

    A process that has set one has imported OpenTelemetry's API, so nothing is imported before that; a provider that is set
    later is found by the next call.
    """

    def __init__(self, provider: TracerProvider | None, cost_attributes: tuple[str, ...]) -> None:
        self._provider = provider
        self._cost_attributes = cost_attributes
        self._spans: SpanObserver | None = None

    def begins(self, call: Call) -> None:
        if self._spans is None and (self._provider is not None or "opentelemetry.trace" in sys.modules):
            self._spans = self._observer()
        if self._spans is not None:
            self._spans.begins(call)

    def attempt_begins(self, call: Call, attempt: Attempt) -> Mapping[str, str]:
        return self._spans.attempt_begins(call, attempt) if self._spans is not None else {}

    def attempt_ends(self, call: Call, attempt: Attempt) -> None:
        if self._spans is not None:
            self._spans.attempt_ends(call, attempt)

    def ends(self, call: Call) -> None:
        if self._spans is not None:
            self._spans.ends(call)

    def _observer(self) -> SpanObserver:
        from opentelemetry import trace

        from .observer import SpanObserver

        # Where none is set yet this is a proxy, which passes on to the one that will be.
        provider = self._provider or trace.get_tracer_provider()
        tracer = provider.get_tracer(names.SCOPE, VERSION, schema_url=names.SCHEMA)
        return SpanObserver(tracer, self._cost_attributes)
