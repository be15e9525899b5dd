"""OTEL_CONFIG_FILE: a declarative configuration is then the only source, and OpenTelemetry's own SDK does the exporting.

https://opentelemetry.io/docs/specs/otel/configuration/data-model/. What we make is handed to the providers that the file
builds, with its processors, samplers, readers and views. It costs what the SDK costs, about a millisecond for a call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tollbook.errors import ConfigError
from tollbook.version import VERSION

from . import names
from .instruments import Instrument
from .meter import Gauge, Measurement, Meter
from .records import Record
from .spans import CLIENT, SERVER, Span

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.trace import SpanContext


class Declared:
    """The providers that a file has built; None for a signal that it does not mention."""

    def __init__(self, path: str) -> None:
        """Raises ConfigError where the package is not installed, or the file is wrong."""
        try:
            from opentelemetry.configuration import ConfigurationError, configure_sdk, load_config_file
        except ImportError:
            raise ConfigError(
                "OTEL_CONFIG_FILE needs: pip install 'tollbook[otel-config]'. Without it, the other OTEL_* variables count."
            ) from None
        from opentelemetry import _logs, metrics, trace
        from opentelemetry.sdk import _logs as sdk_logs
        from opentelemetry.sdk import metrics as sdk_metrics
        from opentelemetry.sdk import trace as sdk_trace

        try:
            configure_sdk(load_config_file(path))
        except (ConfigurationError, OSError, ValueError) as wrong:
            raise ConfigError(f"OTEL_CONFIG_FILE={path}: {wrong}") from None
        tracers, meters, loggers = (
            trace.get_tracer_provider(),
            metrics.get_meter_provider(),
            _logs.get_logger_provider(),
        )
        self.tracers: TracerProvider | None = tracers if isinstance(tracers, sdk_trace.TracerProvider) else None
        self.meters: MeterProvider | None = meters if isinstance(meters, sdk_metrics.MeterProvider) else None
        self.loggers: LoggerProvider | None = loggers if isinstance(loggers, sdk_logs.LoggerProvider) else None

    def close(self, milliseconds: int) -> None:
        """Send what is here and let go."""
        for provider in (self.tracers, self.meters, self.loggers):
            if provider is not None:
                provider.force_flush(milliseconds)
                provider.shutdown()


class SdkSpans:
    """Hands spans to a provider's processors."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._provider = provider
        self._scope = InstrumentationScope(names.SCOPE, VERSION, names.SCHEMA)

    def take(self, told: list[Span]) -> None:
        for span in told:
            # There is no public way to hand in a span that is over; the SDK's own spans do just this when they end.
            self._provider._active_span_processor.on_end(self._readable(span))

    def _readable(self, span: Span) -> ReadableSpan:
        from opentelemetry.sdk.trace import Event, ReadableSpan
        from opentelemetry.trace import Link, SpanKind, Status, StatusCode

        kinds = {SERVER: SpanKind.SERVER, CLIENT: SpanKind.CLIENT}
        parent = _context(span.trace_id, span.parent_id, remote=span.remote_parent) if span.parent_id else None
        links = [Link(_context(link.trace_id, link.span_id, remote=True), link.attributes) for link in span.links]
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id, remote=False, state=span.state),
            parent=parent,
            resource=self._provider.resource,
            attributes=span.attributes,
            events=[Event(event.name, event.attributes, event.time) for event in span.events],
            links=links,
            kind=kinds[span.kind],
            status=Status() if span.error is None else Status(StatusCode.ERROR, span.error or None),
            start_time=span.start,
            end_time=span.end,
            instrumentation_scope=self._scope,
        )


def _context(trace_id: str, span_id: str, *, remote: bool, state: str = "") -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags, TraceState

    told = TraceState.from_header([state]) if state else TraceState()
    return SpanContext(int(trace_id, 16), int(span_id, 16), remote, TraceFlags(TraceFlags.SAMPLED), told)


class SdkRecords:
    """Hands log records to a provider."""

    def __init__(self, provider: LoggerProvider) -> None:
        self._logger = provider.get_logger(names.SCOPE, VERSION, names.SCHEMA)

    def take(self, told: list[Record]) -> None:
        from opentelemetry._logs import LogRecord, SeverityNumber
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context

        for record in told:
            context = Context()
            if record.trace_id:
                span = NonRecordingSpan(_context(record.trace_id, record.span_id, remote=False))
                context = set_span_in_context(span, context)
            self._logger.emit(
                LogRecord(
                    timestamp=record.time,
                    observed_timestamp=record.time,
                    context=context,
                    severity_number=SeverityNumber(record.severity),
                    severity_text=record.severity_text,
                    body=record.body,
                    attributes=dict(record.attributes),
                    event_name=record.name,
                )
            )


class SdkMeter(Meter):
    """A meter whose measurements are also recorded with a provider's instruments."""

    def __init__(self, instruments: Iterable[Instrument], provider: MeterProvider) -> None:
        known = list(instruments)
        super().__init__(known)
        self._meter = provider.get_meter(names.SCOPE, VERSION, names.SCHEMA)
        self._instruments: dict[str, Callable[[float, dict[str, str]], Any]] = {}
        for each in known:
            if each.kind == "counter":
                counter = self._meter.create_counter(each.name, each.unit, each.description)
                self._instruments[each.name] = counter.add
            elif each.kind == "histogram":
                histogram = self._meter.create_histogram(
                    each.name, each.unit, each.description, explicit_bucket_boundaries_advisory=each.buckets
                )
                self._instruments[each.name] = histogram.record

    def record(self, measurements: Iterable[Measurement], trace: tuple[str, str] | None = None) -> None:
        told = list(measurements)
        super().record(told, trace)
        for instrument, values, amount in told:
            labels = {name: value for name, value in zip(instrument.labels, values, strict=False) if value}
            number = amount if instrument.scale == 1 else amount / instrument.scale
            self._instruments[instrument.name](number, labels)

    def watch(self, instrument: Instrument, gauge: Gauge) -> None:
        from opentelemetry.metrics import CallbackOptions, Observation

        super().watch(instrument, gauge)

        def observe(options: CallbackOptions) -> Iterable[Observation]:  # noqa: ARG001 - the SDK's signature
            for values, number in gauge():
                labels = {name: value for name, value in zip(instrument.labels, values, strict=False) if value}
                yield Observation(number, labels)

        self._meter.create_observable_gauge(instrument.name, [observe], instrument.unit, instrument.description)
