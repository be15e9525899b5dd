"""A test span, a test metric and a test log record, sent now: what `tollbook doctor` says of a collector."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter, time_ns
from typing import NamedTuple

from tollbook.config import TelemetrySettings
from tollbook.version import VERSION

from . import environment as env
from . import names
from .collector import Answer, collector
from .environment import SIGNALS, Environment, Signal, Target
from .identity import resource
from .instruments import Instrument
from .meter import Meter
from .otlp import logs, metrics, spans
from .otlp.wire import Envelope
from .records import INFO, Record
from .sampling import span_id, trace_id
from .spans import CLIENT, Span

_TEST = Instrument("tollbook.doctor.tests", "counter", "{test}", "Tests of tollbook doctor.")


class Probe(NamedTuple):
    """What was tried and what came of it; `answer` None where a signal is off."""

    signal: Signal
    target: Target | None
    answer: Answer | None
    milliseconds: float = 0.0
    trace_id: str = ""

    @property
    def fine(self) -> bool:
        return self.answer is None or (self.answer.state == "taken" and not self.answer.rejected)


def effective(settings: TelemetrySettings, environment: Mapping[str, str]) -> Environment:
    """What holds. Raises ConfigError."""
    return env.read(environment, settings)


def run(settings: TelemetrySettings, environment: Mapping[str, str]) -> list[Probe]:
    """Send one item of each signal that goes somewhere. Raises ConfigError for what cannot be followed."""
    found = env.read(environment, settings)
    envelope = Envelope(resource(settings, environment), names.SCOPE, VERSION, schema=names.SCHEMA)
    return [_probe(signal, found.targets.get(signal), envelope) for signal in SIGNALS]


def _probe(signal: Signal, target: Target | None, envelope: Envelope) -> Probe:
    if target is None:
        return Probe(signal, None, None)
    trace = trace_id()
    request = envelope.around(_items(signal, trace))
    place = collector(target)
    began = perf_counter()
    try:
        answer = place.send(request)
    finally:
        place.close()
    return Probe(signal, target, answer, (perf_counter() - began) * 1000, trace if signal == "traces" else "")


def _items(signal: Signal, trace: str) -> list[bytes]:
    now = time_ns()
    if signal == "traces":
        return [spans.encode(Span("tollbook doctor", CLIENT, trace, span_id(), "", now, now, {"tollbook.test": True}))]
    if signal == "logs":
        return [
            logs.encode(Record("tollbook.doctor", now, INFO, {"tollbook.test": True}, "A test of tollbook doctor."))
        ]
    meter = Meter([_TEST])
    meter.record([(_TEST, (), 1)])
    return metrics.encode(meter.snapshot(), [_TEST], now=now, exemplars_since=0)
