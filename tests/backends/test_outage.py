"""The collector is away for a while, under load. Calls do not notice; what the gateway holds arrives; the rest can be replayed.

TOLLBOOK_OUTAGE_SECONDS=120 makes the drill as long as one likes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.serving import environment, respond, served

from .programs import Collector, Jaeger, Stack, eventually, fetched
from .test_contract import EMITS, SILENT

pytestmark = [pytest.mark.backends, pytest.mark.slow]

OUTAGE = float(os.environ.get("TOLLBOOK_OUTAGE_SECONDS", "5"))
RETRIED = 8.0
"""Seconds of absence that an exporter's own retries get over (ten, less a margin)."""
_PAUSE = 0.05


@dataclass(slots=True)
class Load:
    """Calls, one after another, until it is told to stop."""

    url: str
    took: list[tuple[float, float]] = field(default_factory=list)
    """When each began, and how long it took, in seconds."""
    failed: list[Exception] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                respond(self.url, "simulated/story:words=5")
            except Exception as failure:  # whatever it is, the test says so
                self.failed.append(failure)
            self.took.append((began, time.monotonic() - began))
            self._over.wait(_PAUSE)

    def stop(self) -> None:
        self._over.set()

    def median(self, begin: float, end: float) -> float:
        return statistics.median(seconds for began, seconds in self.took if begin <= began < end)


@dataclass(slots=True)
class Drill:
    """What was seen."""

    load: Load
    rows: list[dict[str, Any]]
    away: tuple[float, float]
    dropped: float
    jaeger: Jaeger

    def told(self) -> dict[str, list[str]]:
        """Trace -> the ids of its spans, of those that Jaeger has."""
        found = {row["trace_id"]: [span.span_id for span in self.jaeger.trace(row["trace_id"])] for row in self.rows}
        return {trace_id: spans for trace_id, spans in found.items() if spans}


def _rows(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = fetched(f"{url}/v1/calls", limit="1000", **({"before": found[-1]["id"]} if found else {}))["data"]
        found += [row for row in page if row["operation"] == "create"]
        if len(page) < 1000:
            return found


@pytest.fixture(scope="module")
def drill(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Drill:
    place = tmp_path_factory.mktemp("outage")
    collector = Collector(place / "collector", f"127.0.0.1:{stack.jaeger.otlp}", stack.prometheus.url)
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_SERVICE_NAME": "tollbook-outage",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_LOGS_EXPORTER": "none",
    }
    with served(place, **variables) as url:
        load = Load(url)
        thread = threading.Thread(target=load.run)
        with collector.running():
            thread.start()
            time.sleep(3)
        gone = time.monotonic()
        time.sleep(OUTAGE)
        back = time.monotonic()
        with collector.running():
            time.sleep(3)
            load.stop()
            thread.join()
            rows = _rows(url)
            latest = max(rows, key=lambda row: row["started"])
            eventually(lambda: _there(stack.jaeger, latest))
            dropped = 0.0
            if EMITS:
                expr = 'sum(tollbook_telemetry_dropped_total{job="tollbook-outage", signal="traces"}) or vector(0)'
                requests = 'sum(tollbook_requests_total{job="tollbook-outage", route="/v1/responses"})'
                eventually(lambda: _is(stack.prometheus.value(requests), len(rows)))
                dropped = stack.prometheus.value(expr)
            eventually(lambda: _is(collector.own("otelcol_exporter_queue_size", 'data_type="traces"'), 0))
    return Drill(load, rows, (gone, back), dropped, stack.jaeger)


def _there(jaeger: Jaeger, row: dict[str, Any]) -> None:
    assert len(jaeger.trace(row["trace_id"])) == 2 + len(row["attempts"])


def _is(found: float, expected: float) -> None:
    assert found == expected


def test_calls_neither_fail_nor_wait(drill: Drill) -> None:
    gone, back = drill.away
    before, during = drill.load.median(gone - 3, gone), drill.load.median(gone, back)

    assert drill.load.failed == []
    assert len(drill.load.took) == len(drill.rows)
    assert during < 3 * before


def test_nothing_is_told_twice(drill: Drill) -> None:
    for spans in drill.told().values():
        assert max(Counter(spans).values()) == 1


@pytest.mark.skipif(OUTAGE > RETRIED, reason="longer than exporters try again")
def test_after_a_short_absence_nothing_is_missing(drill: Drill) -> None:
    told = drill.told()

    assert {row["trace_id"] for row in drill.rows} == set(told)
    assert all(len(told[row["trace_id"]]) == 2 + len(row["attempts"]) for row in drill.rows)


@pytest.mark.skipif(not EMITS, reason=SILENT)
def test_what_is_missing_is_what_the_gateway_says_it_dropped(drill: Drill) -> None:
    expected = sum(2 + len(row["attempts"]) for row in drill.rows)
    arrived = sum(len(spans) for spans in drill.told().values())

    assert expected - arrived == drill.dropped


def test_what_was_missed_is_sent_again_from_the_books(drill: Drill, stack: Stack, tmp_path_factory: Any) -> None:
    """Then the store has every call of the books, and none twice."""
    books = next(Path(tmp_path_factory.getbasetemp()).glob("outage*/books"))
    first = min(row["started"] for row in drill.rows)
    command = [sys.executable, "-m", "tollbook", "telemetry", "replay", "--since", first, "--data-dir", str(books)]
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.collector.url, "OTEL_SERVICE_NAME": "tollbook-outage"}
    said = subprocess.run(
        command, env=environment(**variables), capture_output=True, text=True, check=False, timeout=120
    )
    if said.returncode == 2 and "invalid choice" in said.stderr:
        pytest.skip("this version has no `tollbook telemetry replay`")

    assert said.returncode == 0, said.stderr

    def whole() -> dict[str, list[str]]:
        told = drill.told()
        assert set(told) == {row["trace_id"] for row in drill.rows}
        return told

    for spans in eventually(whole).values():
        assert max(Counter(spans).values()) == 1
