"""From `OTEL_*` variables to a tracer. No endpoint: off, said once; nothing retries towards nowhere.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/. What a variable can say is never passed
in code, or the variable would not count.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from threading import Thread
from typing import TYPE_CHECKING, Any

from tollbook.config import TelemetrySettings
from tollbook.errors import ConfigError
from tollbook.version import VERSION

from . import names

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter

    from .tracer import CallTracer

_log = logging.getLogger("tollbook")

SHUTDOWN = 5.0
"""Seconds that telemetry may take to say its last words."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def tracing(settings: TelemetrySettings, environment: Mapping[str, str]) -> tuple[CallTracer, SpanProcessor] | None:
    """A tracer and the processor that exports what it makes, as the environment says; None when traces are off."""
    kind = environment.get("OTEL_TRACES_EXPORTER", "otlp").strip() or "otlp"
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or kind == "none":
        return None
    if kind == "otlp" and not any(environment.get(name) for name in _ENDPOINTS):
        _log.info("Traces are off: set OTEL_EXPORTER_OTLP_ENDPOINT to send them.")
        return None

    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from .tracer import CallTracer

    resource = Resource.create({"service.version": VERSION})
    told = "OTEL_SERVICE_NAME" in environment or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not told:
        resource = resource.merge(Resource({SERVICE_NAME: settings.service_name or "tollbook"}))
    sizes: dict[str, Any] = {} if any(name.startswith("OTEL_BSP_") for name in environment) else _SIZES
    processor = BatchSpanProcessor(_exporter(kind, environment), **sizes)
    sampler = TracerProvider(resource=resource, shutdown_on_exit=False).sampler  # reads OTEL_TRACES_SAMPLER
    return CallTracer(InstrumentationScope(names.SCOPE, VERSION, names.SCHEMA), resource, sampler, processor), processor


_SIZES: dict[str, Any] = {"max_queue_size": 16_384, "max_export_batch_size": 512, "schedule_delay_millis": 1_000}
"""Room for a burst of five seconds at 1,000 calls a second, instead of the SDK's two thirds of one."""


def _exporter(kind: str, environment: Mapping[str, str]) -> SpanExporter:
    if kind == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if kind != "otlp":
        raise ConfigError(f"OTEL_TRACES_EXPORTER={kind}: known are otlp, console and none.")
    protocol = (
        environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    if protocol == "grpc":
        try:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
        except ImportError:
            raise ConfigError("OTEL_EXPORTER_OTLP_PROTOCOL=grpc needs: pip install 'tollbook[grpc]'.") from None
        return Grpc()
    if protocol != "http/protobuf":
        raise ConfigError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: known are http/protobuf and grpc.")
    from .otlp import SpanExporter as Http

    return Http()


def stop(processor: SpanProcessor) -> None:
    """Flush and close, within SHUTDOWN seconds whatever the collector does."""
    closing = Thread(target=processor.shutdown, name="tollbook-telemetry-stop", daemon=True)
    closing.start()
    closing.join(SHUTDOWN)
    if closing.is_alive():
        _log.warning("The collector did not take the last spans within %g s; the books have them.", SHUTDOWN)
