"""OTEL_CONFIG_FILE is the only source when it is set: its exporters get spans, metrics and log records of a real gateway."""

from __future__ import annotations

import importlib.abc
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.asking import ask
from tests.server.receiver import SERVER, Collector, points
from tests.server.running import running
from tollbook.config import TelemetrySettings
from tollbook.errors import ConfigError
from tollbook.telemetry.declared import Declared
from tollbook.telemetry.station import Station

FILE = """
file_format: "1.0"
resource:
  attributes:
    - {{name: service.name, value: declared}}
tracer_provider:
  processors:
    - batch: {{schedule_delay: 50, exporter: {{otlp_http: {{endpoint: "{url}/v1/traces"}}}}}}
meter_provider:
  readers:
    - periodic: {{interval: 300, exporter: {{otlp_http: {{endpoint: "{url}/v1/metrics"}}}}}}
logger_provider:
  processors:
    - batch: {{schedule_delay: 50, exporter: {{otlp_http: {{endpoint: "{url}/v1/logs"}}}}}}
"""


def test_a_file_says_where_everything_goes(tmp_path: Path) -> None:
    with Collector() as collector:
        url = collector.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]
        file = tmp_path / "otel.yaml"
        file.write_text(FILE.format(url=url))
        environment = {"OTEL_CONFIG_FILE": str(file), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
        with running(tmp_path, environment=environment, key=None) as gateway, gateway.client() as http:
            answer = ask(http, "simulated/story")
            ask(http, "simulated/story:fault=400")
            spans = collector.trace(answer.headers["x-tollbook-trace-id"], seconds=20)
            collector.until(lambda: collector.records, seconds=20)
            collector.until(lambda: "tollbook.cost" in collector.metrics, seconds=20)
            row = gateway.call(answer.headers["x-tollbook-call-id"])

    assert [span.name for span in spans if span.kind == SERVER] == ["POST /v1/responses"]
    assert len(spans) == 3
    assert collector.resources[0]["service.name"] == "declared"
    assert collector.records[0].name == "gen_ai.client.operation.exception"
    cost = sum(point.as_double for _, point in points(collector.metrics["tollbook.cost"]))
    assert round(cost * 1e9) == row["cost"]["nano_usd"]


def test_a_file_that_is_wrong_stops_the_start_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text("file_format: '1.0'\ntracer_provider: 7\n")

    done = subprocess.run(
        [sys.executable, "-m", "tollbook", "--port", "0", "--data-dir", str(tmp_path / "data")],
        env={"PATH": "/usr/bin", "OTEL_CONFIG_FILE": str(file)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr


class _Without(importlib.abc.MetaPathFinder):
    """A process in which a package is not installed."""

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == "opentelemetry.configuration":
            raise ImportError(name)


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry.configuration")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Without(), *sys.meta_path])

    with pytest.raises(ConfigError, match=r"tollbook\[otel-config\]"):
        Declared("/nowhere.yaml")
    with pytest.raises(ConfigError, match="OTEL_CONFIG_FILE"):
        Station(TelemetrySettings(), {"OTEL_CONFIG_FILE": "/nowhere.yaml"})
