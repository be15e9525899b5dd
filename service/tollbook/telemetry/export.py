"""From the clerk to collectors, consoles, or an SDK that somebody has configured: the sinks of all three signals."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping
from threading import Event, Thread
from time import time_ns
from typing import Any

from tollbook.transport.wire import encode

from .collector import Collector
from .environment import Limits
from .instruments import Instrument
from .meter import Meter
from .otlp import logs as encoded_logs
from .otlp import metrics as encoded_metrics
from .otlp import spans as encoded_spans
from .otlp.wire import Envelope
from .outbox import LARGEST, Losses, Outbox
from .records import Record
from .spans import Span

_log = logging.getLogger("tollbook.telemetry")


class OtlpSpans:
    """Encodes spans, within the limits of the environment, and puts them into an outbox."""

    def __init__(self, outbox: Outbox, limits: Limits) -> None:
        self._outbox = outbox
        self._limits = limits
        self._loose = limits == Limits()

    def take(self, told: list[Span]) -> None:
        for span in told:
            small = self._loose and len(span.attributes) <= 128
            self._outbox.put(encoded_spans.encode(span if small else within(span, self._limits)), span.end)


def within(span: Span, limits: Limits) -> Span:
    """The span within limits. What is left out is what came last: the first attributes say what the span is."""
    attributes = span.attributes
    if limits.length is not None:
        attributes = {name: _cut(value, limits.length) for name, value in attributes.items()}
    dropped = 0
    if limits.attributes is not None and len(attributes) > limits.attributes:
        dropped = len(attributes) - limits.attributes
        attributes = dict(list(attributes.items())[: limits.attributes])
    events, links = span.events[: limits.events], span.links[: limits.links]
    return span._replace(attributes=attributes, dropped=dropped, events=events, links=links)


def _cut(value: Any, length: int) -> Any:
    if isinstance(value, str):
        return value[:length]
    return tuple(each[:length] for each in value) if isinstance(value, tuple) else value


class OtlpRecords:
    """The same for log records."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def take(self, told: list[Record]) -> None:
        for record in told:
            self._outbox.put(encoded_logs.encode(record), record.time)


class Several:
    """One thing told in several places."""

    def __init__(self, sinks: Iterable[Any]) -> None:
        self._sinks = tuple(sinks)

    def take(self, told: list[Any]) -> None:
        for sink in self._sinks:
            sink.take(told)


class Console:
    """Spans and log records as lines of JSON on stdout."""

    def take(self, told: list[Span] | list[Record]) -> None:
        for each in told:
            kind = "span" if isinstance(each, Span) else "log"
            sys.stdout.write(encode({"signal": kind, **_plain(each)}).decode("utf-8", "replace") + "\n")
        sys.stdout.flush()


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(each) for name, each in value._asdict().items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return value


class Push:
    """Sends what a meter holds, every so often: cumulative, so what one export misses the next one tells."""

    def __init__(
        self,
        meter: Meter,
        instruments: list[Instrument],
        collector: Collector | None,
        envelope: Envelope,
        losses: Losses,
        *,
        interval: float,
        console: bool = False,
    ) -> None:
        self._meter = meter
        self._instruments = instruments
        self._collector = collector
        self._envelope = envelope
        self._losses = losses
        self._interval = interval
        self._console = console
        self._sent = 0
        self._failing = False
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="tollbook-metrics", daemon=True)
        self._thread.start()

    def close(self, seconds: float) -> None:
        """Send the last state, for so long at the most, and stop."""
        self._stopping.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(self._interval)
            try:
                self.send()
            except Exception:  # a gauge that fails must not end the sending
                _log.exception("metrics could not be sent")
        if self._collector is not None:
            self._collector.close()

    def send(self) -> None:
        """One export, now."""
        now = time_ns()
        snapshot = self._meter.snapshot()
        if self._console:
            sys.stdout.write(encode({"signal": "metrics", **_plain_snapshot(snapshot)}).decode() + "\n")
            sys.stdout.flush()
        if self._collector is None:
            return
        items = encoded_metrics.encode(snapshot, self._instruments, now=now, exemplars_since=self._sent)
        for piece in _pieces(items):
            answer = self._collector.send(self._envelope.around(piece))
            if answer.state != "taken":
                if not self._failing:
                    hint = "; OTEL_METRICS_EXPORTER=none stops sending them" if answer.state == "closed" else ""
                    _log.warning("The collector does not take metrics (%s)%s.", answer.said, hint)
                self._failing = True
                return
            if answer.rejected:
                self._losses.lost("metrics", "rejected", answer.rejected, now, now)
        if self._failing:
            _log.warning("The collector takes metrics again.")
        self._failing = False
        self._sent = now


def _pieces(items: list[bytes]) -> list[list[bytes]]:
    """Items in their order, in pieces that fit a request unless a single one is larger."""
    found: list[list[bytes]] = []
    size = LARGEST
    for item in items:
        if size + len(item) > LARGEST:
            found.append([])
            size = 0
        found[-1].append(item)
        size += len(item)
    return found


def _plain_snapshot(snapshot: Any) -> dict[str, Any]:
    totals = {name: [[list(v), t.value] for v, t in series] for name, series in snapshot.totals.items()}
    spreads = {name: [[list(v), s.count, s.total] for v, s in series] for name, series in snapshot.spreads.items()}
    gauges = {name: [[list(v), g] for v, g in series] for name, series in snapshot.gauges.items()}
    return {"counters": totals, "histograms": spreads, "gauges": gauges}
