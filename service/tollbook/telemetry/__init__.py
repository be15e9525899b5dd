"""What a call leaves outside the books: traces, metrics, log records, a line on stdout. `Telemetry` is the whole of it for
the server; `guest` is what it is inside somebody else's program."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tollbook.config import TelemetrySettings

if TYPE_CHECKING:
    from .content import Redact
    from .measures import Known
    from .meter import Gauge
    from .observer import CallObserver
    from .station import Station

Text = tuple[bytes, str]


class Telemetry:
    """Starts in the server's process (after a fork), wraps its application, opens with its loop, stops with it.

    `worker` names the process among several that share the data directory. `redact` is applied to content before it goes
    anywhere, if any is captured.
    """

    def __init__(
        self,
        settings: TelemetrySettings,
        environment: Mapping[str, str],
        *,
        data_dir: Path | None = None,
        worker: str | None = None,
        redact: Redact | None = None,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._data_dir = data_dir
        self._worker = worker
        self._redact = redact
        self._station: Station | None = None

    def start(self) -> None:
        """Read what the environment says. Raises ConfigError for what cannot be followed."""
        from .station import Station

        self._station = Station(self._settings, self._environment, redact=self._redact)

    @property
    def observer(self) -> CallObserver | None:
        """Who hears of calls; None before the start."""
        return self._station.observer if self._station is not None else None

    def wrap(self, app: Any) -> Any:
        """The application, with a place in a trace for each of its requests."""
        from . import context
        from .middleware import Requests

        requests = Requests(
            app, lambda: self.observer, self._settings.trust_remote_context, context.propagators(self._environment)
        )
        if self._station is not None:
            self._station.watch("active", requests.active)
        return requests

    def open(self, *, models: Collection[str] = (), known: Known | None = None) -> None:
        """The data directory is ours now: find the other workers' metrics. `models` are the names that the configuration
        spells out, `known` says of any other whether the price catalogue has it."""
        if self._station is not None:
            self._station.open(self._data_dir, self._worker, models, known)

    def reconfigure(self, models: Collection[str]) -> None:
        """Another configuration spells out other names."""
        if self._station is not None:
            self._station.measures.labels.reconfigure(models)

    def watch(self, name: str, gauge: Gauge) -> None:
        """Tell the readings of a gauge ("lag", "budget": fields of `Instruments`); it is asked from another thread."""
        if self._station is not None:
            self._station.watch(name, gauge)

    def exposition(self, accept: str) -> Text:
        """The metrics of all workers for Prometheus, with their media type. Blocks for some milliseconds."""
        assert self._station is not None
        return self._station.exposition(accept)

    def stop(self) -> None:
        """Send what is here, within `station.SHUTDOWN` seconds whatever the collectors do."""
        if self._station is not None:
            self._station.close()
