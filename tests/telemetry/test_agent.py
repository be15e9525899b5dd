"""A receiver that others wrote takes what we send: Datadog's test agent, all three signals, over HTTP and gRPC.

Its pins are not ours, so it has an environment of its own, made once and kept outside the tree.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.asking import ask, stream
from tests.server.running import free_port, running, until

VERSION = "1.69.1"
_CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tollbook-tests" / f"ddapm-test-agent-{VERSION}"
)


@dataclass(frozen=True)
class Agent:
    """Where it listens."""

    http: int
    grpc: int

    def received(self, signal: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"http://127.0.0.1:{self.http}/test/session/{signal}", trust_env=False)
        found: list[dict[str, Any]] = answer.json()
        return found


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _installed() -> Path:
    """The agent's program; skips where it cannot be had."""
    program = _CACHE / "bin" / "ddapm-test-agent"
    with _locked(_CACHE):
        if not (_CACHE / "complete").exists():
            pip = [str(_CACHE / "bin" / "python"), "-m", "pip", "install", "--quiet", f"ddapm-test-agent=={VERSION}"]
            try:
                subprocess.run([sys.executable, "-m", "venv", "--clear", str(_CACHE)], check=True, capture_output=True)
                subprocess.run(pip, check=True, capture_output=True, timeout=300)
            except (subprocess.SubprocessError, OSError) as failure:
                pytest.skip(f"ddapm-test-agent {VERSION} cannot be installed here: {type(failure).__name__}")
            (_CACHE / "complete").touch()
    return program


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    program = _installed()
    found = Agent(free_port(), free_port())
    ports = ["-p", str(free_port()), "--otlp-http-port", str(found.http), "--otlp-grpc-port", str(found.grpc)]
    folder = tmp_path_factory.mktemp("agent")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), "--host", "127.0.0.1", *ports], stdout=log, stderr=subprocess.STDOUT, cwd=folder
        )
        try:
            end = time.monotonic() + 60
            while True:
                try:
                    found.received("traces")
                    break
                except (httpx.TransportError, ValueError):
                    assert process.poll() is None, (folder / "log").read_text()[-2000:]
                    assert time.monotonic() < end, "the agent does not answer"
                    time.sleep(0.1)
            yield found
        finally:
            process.terminate()
            process.wait(10)


def _named(items: list[dict[str, Any]], group: str, scope: str, kind: str) -> list[dict[str, Any]]:
    """All spans, metrics or log records in the requests that the agent got."""
    groups = [each for request in items for each in request.get(group, ())]
    return [item for each in groups for part in each.get(scope, ()) for item in part.get(kind, ())]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_traces_metrics_and_logs_arrive_there(tmp_path: Path, agent: Agent, protocol: str) -> None:
    port = agent.grpc if protocol == "grpc" else agent.http
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_BLRP_SCHEDULE_DELAY": "50",
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
    }
    model = f"simulated/story:words={7 if protocol == 'grpc' else 8}"
    with running(tmp_path, environment=environment, key=None) as gateway, gateway.client() as http:
        stream(http, model)
        ask(http, "simulated/story:fault=400")

        def spans() -> list[dict[str, Any]]:
            found = _named(agent.received("traces"), "resource_spans", "scope_spans", "spans")
            return [span for span in found if span["name"] == f"chat {model}"]

        (span,) = until(spans, what="its span")

        def record() -> list[dict[str, Any]]:
            return _named(agent.received("logs"), "resource_logs", "scope_logs", "log_records")

        assert until(record, what="its log record")

        def cost() -> list[dict[str, Any]]:
            found = _named(agent.received("metrics"), "resource_metrics", "scope_metrics", "metrics")
            return [metric for metric in found if metric["name"] == "tollbook.cost" and metric.get("sum")]

        assert until(cost, what="its metric")[-1]["unit"] == "USD"
    attributes = {each["key"]: each["value"] for each in span["attributes"]}
    assert attributes["gen_ai.usage.output_tokens"]["int_value"] in (7, 8, "7", "8")
    assert [event["name"] for event in span["events"]][:2] == [
        "tollbook.stream.first_event",
        "tollbook.stream.first_output",
    ]
