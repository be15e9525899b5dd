"""Who sends telemetry: the resource that stands around everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbook.config import TelemetrySettings
from tollbook.version import VERSION


def resource(settings: TelemetrySettings, environment: Mapping[str, str]) -> dict[str, Any]:
    """Attributes by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, else by the settings, else our own name. Every process has
    a `service.instance.id` of its own."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    found = Resource.create({"service.version": VERSION})
    told = "OTEL_SERVICE_NAME" in environment or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not told:
        found = found.merge(Resource({SERVICE_NAME: settings.service_name or "tollbook"}))
    return dict(found.attributes)
