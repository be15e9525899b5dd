"""Five hundred calls a second for a minute, and a healthy collector has every span of them."""

from __future__ import annotations

import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.server.receiver import Collector
from tollbook.config import TelemetrySettings
from tollbook.responses.ids import make_id
from tollbook.telemetry import Telemetry
from tollbook.telemetry.prometheus import TEXT

from .making import attempt, call


class Counting(Collector):
    """Counts spans by their ids and keeps nothing else."""

    def take(self, body: bytes, path: str = "/v1/traces") -> None:
        if path == "/v1/traces":
            groups = ExportTraceServiceRequest.FromString(body).resource_spans
            found = {span.span_id for group in groups for scope in group.scope_spans for span in scope.spans}
            with self.heard:
                self.seen = getattr(self, "seen", set()) | found


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_nothing_is_lost_at_500_calls_a_second(seconds: int) -> None:
    with Counting() as collector:
        telemetry = Telemetry(TelemetrySettings(access_log=False), collector.environment)
        telemetry.start()
        telemetry.open(models={"gpt"})
        observer = telemetry.observer
        assert observer is not None
        began = time.monotonic()
        number = 500 * seconds
        for n in range(number):
            made = call(id=make_id("call"), attempts=[])
            observer.begins(made)
            made.attempts.append(attempt())
            observer.attempt_begins(made, made.attempts[0])
            observer.attempt_ends(made, made.attempts[0])
            observer.ends(made)
            time.sleep(max(began + n / 500 - time.monotonic(), 0))
        text, media = telemetry.exposition("")
        telemetry.stop()

    assert media == TEXT
    assert b"tollbook_telemetry_dropped_total" not in text
    # Without HTTP there is no SERVER span: one for the call and one for its attempt.
    assert len(collector.seen) == 2 * number
