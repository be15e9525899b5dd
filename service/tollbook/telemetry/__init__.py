"""What a call leaves outside the books: traces. `Telemetry` is the whole of it for the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tollbook.config import TelemetrySettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

    from .observer import SpanObserver


class Telemetry:
    """Starts with the server's loop (after a fork), wraps its application, stops with it. Off without an endpoint."""

    def __init__(self, settings: TelemetrySettings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = environment
        self._processor: SpanProcessor | None = None
        self.observer: SpanObserver | None = None

    def start(self) -> None:
        from . import setup
        from .observer import SpanObserver

        found = setup.tracing(self._settings, self._environment)
        if found is not None:
            tracer, self._processor = found
            self.observer = SpanObserver(tracer, self._settings.cost_attributes)

    def wrap(self, app: Any) -> Any:
        """The application with SERVER spans around its requests."""
        from .middleware import ServerSpans

        return ServerSpans(app, lambda: self.observer, self._settings.trust_remote_context)

    def stop(self) -> None:
        from . import setup

        if self._processor is not None:
            setup.stop(self._processor)
