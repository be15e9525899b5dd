"""The parts of telemetry in one process, put together as settings and environment say."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from threading import Event, Thread
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from tollbook import notices
from tollbook.call import Call
from tollbook.config import TelemetrySettings
from tollbook.version import VERSION

from . import environment as env
from . import names, prometheus
from .access_log import Lines
from .board import Board
from .clerk import Clerk, Desk, Records, Spans
from .collector import collector
from .content import Redact, unredacted
from .export import Console, OtlpRecords, OtlpSpans, Push, Several
from .genai import Manner
from .identity import resource
from .instruments import Instrument
from .marks import Marks
from .measures import Known, Labels, Measures
from .meter import Gauge, Meter, Reading
from .observer import CallObserver
from .otlp.wire import Envelope
from .outbox import Outbox, Reason
from .records import WARN, Record
from .sampling import Decision

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

    from .declared import Declared

_log = logging.getLogger("tollbook.telemetry")

SHUTDOWN = 5.0
"""Seconds that telemetry may take to say its last words."""
_TICK = 1.0
_PRICE_MISSING_AGAIN = 3600.0
"""Seconds after which a price that is missing is said to be missing again."""


class Station:
    """Everything is made here and ended here. Raises ConfigError for an environment that cannot be followed."""

    def __init__(
        self, settings: TelemetrySettings, environment: Mapping[str, str], *, redact: Redact | None = None
    ) -> None:
        self.environment = env.read(environment, settings)
        self.measures = Measures(Labels(owners=settings.metrics_labels), settings.metrics_semconv)
        self.instruments: list[Instrument] = list(self.measures.instruments)
        self._declared = self._declare()
        self.resource, sampler = self._identity(settings, environment)
        self.meter = self._meter()
        self._marks = Marks(None, "")
        self._losses = _Losses(self)
        self._outboxes: dict[str, Outbox] = {}
        room = int(settings.queue_mb * 1024 * 1024)
        spans, records = self._spans(room), self._records(room)
        self._push = self._pushing()
        self._lines = Lines(sys.stdout.write, sys.stdout.flush) if self.environment.access_log else None
        self._missing: dict[tuple[str, str], float] = {}
        desk = Desk(
            manner=Manner.of(settings),
            measures=self.measures,
            meter=self.meter,
            spans=spans,
            records=records,
            lines=self._lines,
            capture=self.environment.capture,
            redact=redact or unredacted,
            exemplars=self.environment.exemplars,
            price_missing=self._price_missing,
        )
        self._clerk = Clerk(desk, backlog=self._backlog)
        self.observer = CallObserver(
            self._clerk,
            Decision(sampler if spans is not None else None),
            ids=self.environment.ids,
            capture=self.environment.capture != "none",
            send_baggage=settings.send_baggage,
        )
        self._board: Board | None = None
        self._handler = _Notices(records) if records is not None else None
        if self._handler is not None:
            logging.getLogger(notices.__name__).addHandler(self._handler)
        self.watch("spooled", self._spooled)
        self._stopping = Event()
        self._ticker = Thread(target=self._tick, name="tollbook-telemetry-tick", daemon=True)
        self._ticker.start()
        self._say()

    def open(self, data_dir: Path | None, worker: str | None, models: Collection[str], known: Known | None) -> None:
        """From here on the data directory may be used."""
        labels = Labels(models=models, known=known, owners=self.measures.labels.owners)
        self.measures.labels = labels
        name = worker or "gateway"
        if data_dir is not None and self._outboxes:
            self._marks.move(data_dir, f"{name}-{time_ns()}")
        self._board = Board(data_dir, name, self.meter, self.instruments)

    def watch(self, name: str, gauge: Gauge) -> None:
        self.meter.watch(getattr(self.measures.instruments, name), gauge)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        self._clerk.catch_up()
        board = self._board
        snapshot = self.meter.snapshot() if board is None else board.snapshot()
        open_metrics = "application/openmetrics-text" in accept
        text = prometheus.render(snapshot, self.instruments, self.resource, open_metrics=open_metrics)
        return text, prometheus.OPEN_METRICS if open_metrics else prometheus.TEXT

    def close(self) -> None:
        end = monotonic() + SHUTDOWN

        def left() -> float:
            return max(end - monotonic(), 0.1)

        self._stopping.set()
        self._clerk.close(SHUTDOWN / 2)
        if self._handler is not None:
            logging.getLogger(notices.__name__).removeHandler(self._handler)
        closing = [Thread(target=each.close, args=(left() - 0.2,), daemon=True) for each in self._outboxes.values()]
        if self._push is not None:
            closing.append(Thread(target=self._push.close, args=(left() - 0.2,), daemon=True))
        if self._declared is not None:
            closing.append(Thread(target=self._declared.close, args=(int(left() * 1000),), daemon=True))
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(left())
        if self._lines is not None:
            self._lines.close(left())
        self._marks.write(clean=not any(thread.is_alive() for thread in closing))
        if self._board is not None:
            self._board.close()
        if lost := self._losses.at_the_end:
            _log.warning(
                "The collector did not take the last %d items within %g s; the books have them.", lost, SHUTDOWN
            )

    # -------------------------------------------------------------------------------------------------------- parts

    def _declare(self) -> Declared | None:
        if not self.environment.file:
            return None
        from .declared import Declared

        return Declared(self.environment.file)

    def _identity(
        self, settings: TelemetrySettings, environment: Mapping[str, str]
    ) -> tuple[dict[str, Any], Sampler | None]:
        """Who we are, as a resource, and the sampler that the environment names."""
        from opentelemetry.sdk.trace import TracerProvider

        if self._declared is not None and self._declared.tracers is not None:
            return dict(self._declared.tracers.resource.attributes), self._declared.tracers.sampler
        found = resource(settings, environment)
        if self.environment.disabled:
            return found, None
        # A provider reads OTEL_TRACES_SAMPLER; nothing else of it is used.
        return found, TracerProvider(shutdown_on_exit=False).sampler

    def _meter(self) -> Meter:
        if self._declared is not None and self._declared.meters is not None:
            from .declared import SdkMeter

            return SdkMeter(self.instruments, self._declared.meters)
        return Meter(self.instruments)

    def _spans(self, room: int) -> Spans | None:
        if self._declared is not None:
            from .declared import SdkSpans

            return None if self._declared.tracers is None else SdkSpans(self._declared.tracers)
        sinks: list[Any] = []
        if "traces" in self.environment.targets:
            outbox = self._outbox("traces", self.environment.spans, room)
            sinks.append(OtlpSpans(outbox, self.environment.limits))
        if "traces" in self.environment.console:
            sinks.append(Console())
        return Several(sinks) if len(sinks) > 1 else sinks[0] if sinks else None

    def _records(self, room: int) -> Records | None:
        if self._declared is not None:
            from .declared import SdkRecords

            return None if self._declared.loggers is None else SdkRecords(self._declared.loggers)
        sinks: list[Any] = []
        if "logs" in self.environment.targets:
            sinks.append(OtlpRecords(self._outbox("logs", self.environment.records, room)))
        if "logs" in self.environment.console:
            sinks.append(Console())
        return Several(sinks) if len(sinks) > 1 else sinks[0] if sinks else None

    def _outbox(self, signal: env.Signal, batching: env.Batching, room: int) -> Outbox:
        target = self.environment.targets[signal]
        found = Outbox(signal, collector(target), self._envelope(), self._losses, batching=batching, room=room)
        self._outboxes[signal] = found
        return found

    def _pushing(self) -> Push | None:
        if not self.environment.on("metrics"):
            return None
        target = self.environment.targets.get("metrics")
        return Push(
            self.meter,
            self.instruments,
            collector(target) if target is not None else None,
            self._envelope(),
            self._losses,
            interval=self.environment.interval,
            console="metrics" in self.environment.console,
        )

    def _envelope(self) -> Envelope:
        return Envelope(self.resource, names.SCOPE, VERSION, schema=names.SCHEMA)

    # ---------------------------------------------------------------------------------------------------- meanwhile

    def _tick(self) -> None:
        while not self._stopping.wait(_TICK):
            try:
                if self._board is not None:
                    self._board.write()
                self._marks.write()
            except Exception:  # a gauge that fails must not end the ticking
                _log.exception("metrics could not be shared")

    def _spooled(self) -> list[Reading]:
        return [((signal,), outbox.held) for signal, outbox in self._outboxes.items()]

    def lost(self, signal: env.Signal, reason: Reason, count: int, first: int, last: int) -> None:
        self.meter.record([(self.measures.instruments.dropped, (signal, reason), count)])
        self._marks.lost(signal, reason, count, first, last)

    def delivered(self, signal: env.Signal, last: int) -> None:
        self._marks.delivered(signal, last)

    def _backlog(self, count: int) -> None:
        now = time_ns()
        self.lost("traces", "backlog", count, now, now)

    def _price_missing(self, call: Call) -> None:
        """Now and then for each model that nobody has a price for."""
        for attempt in call.attempts:
            if attempt.cost.status != "unpriced" or attempt.usage.source == "none":
                continue
            place = (attempt.provider, self.measures.labels.model(attempt.provider, attempt.model))
            if monotonic() - self._missing.get(place, -_PRICE_MISSING_AGAIN) >= _PRICE_MISSING_AGAIN:
                self._missing[place] = monotonic()
                notices.notice(
                    names.PRICE_MISSING,
                    f"There is no price for {place[0]}/{place[1]}: its calls are booked without a cost.",
                    provider=place[0],
                    model=place[1],
                    deployment=attempt.deployment,
                )

    def _say(self) -> None:
        """One line about what is on, or that nothing is."""
        found = self.environment
        if found.disabled:
            _log.info("Telemetry is off: OTEL_SDK_DISABLED is true.")
        elif found.file:
            _log.info("Telemetry goes where %s says.", found.file)
        elif not found.targets and not found.console:
            _log.info("Traces, metrics and log records are sent nowhere: set OTEL_EXPORTER_OTLP_ENDPOINT to send them.")
        else:
            for target in found.targets.values():
                _log.info("%s go to %s (%s).", target.signal.capitalize(), target.place, target.protocol)


class _Losses:
    """Passes on what outboxes tell, and counts what the end cost."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self.at_the_end = 0

    def delivered(self, signal: env.Signal, last: int) -> None:
        self._station.delivered(signal, last)

    def lost(self, signal: env.Signal, reason: Reason, count: int, first: int, last: int) -> None:
        self.at_the_end += count if reason == "shutdown" else 0
        self._station.lost(signal, reason, count, first, last)


class _Notices(logging.Handler):
    """Turns notices into log records of OpenTelemetry."""

    def __init__(self, records: Records) -> None:
        super().__init__(logging.WARNING)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        name = getattr(record, notices.NAME, None)
        if isinstance(name, str):
            facts = getattr(record, notices.FACTS, {})
            told = Record(name, int(record.created * 1e9), WARN, dict(facts), record.getMessage())
            self._records.take([told])
        # Where nobody has set up logging, this handler must not be the reason that nothing is seen on stderr.
        if logging.lastResort is not None and not logging.getLogger().handlers:
            logging.lastResort.handle(record)
