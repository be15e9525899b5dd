"""The real collector, Jaeger and Prometheus, with the very files that docker-compose.yml mounts: only ports and folders are this
machine's. `build.sh` makes the programs."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError

import yaml

from tests.serving import environment, free_port

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PATIENCE = 60.0
"""Seconds that a program may take to answer, and what was sent to arrive; a loaded machine is slow."""

_NAMES = ("otelcol", "jaeger", "prometheus", "promtool", "compose")
_Found = TypeVar("_Found")


def folder() -> Path | None:
    """Where the programs are: $TOLLBOOK_BACKENDS, or where build.sh put them; None if one is missing or of another version."""
    parts = (HERE / "build.sh", HERE / "collector-builder.yaml", HERE / "compose/main.go")
    made_of = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tollbook-backends" / made_of[:12]
    found = Path(os.environ.get("TOLLBOOK_BACKENDS") or cache)
    return found if all((found / name).is_file() for name in _NAMES) else None


def program(name: str) -> str:
    """The path of one of them."""
    found = folder()
    assert found is not None
    return str(found / name)


def eventually(look: Callable[[], _Found], patience: float = PATIENCE) -> _Found:
    """What `look` answers as soon as it does so without an AssertionError or a connection that fails."""
    end = time.monotonic() + patience
    while True:
        try:
            return look()
        except (AssertionError, URLError, ConnectionError, TimeoutError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def fetched(url: str, **parameters: str) -> Any:
    """The JSON at a URL. An error's body is in the AssertionError."""
    asked = f"{url}?{urllib.parse.urlencode(parameters)}" if parameters else url
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return json.loads(answer.read() or b"null")
    except HTTPError as failure:
        raise AssertionError(f"{failure.code} {asked}: {failure.read().decode(errors='replace')[:2000]}") from None


@contextmanager
def running(place: Path, name: str, *arguments: str, ready: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program until the block ends, after `ready` answered 200. Its output is `place/<name>.log`."""
    place.mkdir(parents=True, exist_ok=True)
    log = place / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [program(name), *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=place,
            env=environment(GOMAXPROCS="2", **variables),
        )
    try:

        def answers() -> None:
            assert process.poll() is None, f"{name} ended:\n{log.read_text(errors='replace')[-4000:]}"
            with urllib.request.urlopen(ready, timeout=2) as answer:
                assert answer.status == 200

        eventually(answers)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# ── Collector ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Collector:
    """otel-collector.yaml on ports of its own; `variables` as in its ${env:…}."""

    place: Path
    jaeger: str = "127.0.0.1:1"
    prometheus: str = "http://127.0.0.1:1"
    variables: Mapping[str, str] = field(default_factory=dict)
    grpc: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    health: int = field(default_factory=free_port)
    metrics: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """OTLP over HTTP."""
        return f"http://127.0.0.1:{self.http}"

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """It runs. It may be run again: ports and queue stay."""
        variables = {
            **given("otel-collector"),
            "COLLECTOR_HOST": "127.0.0.1",
            "COLLECTOR_GRPC_PORT": str(self.grpc),
            "COLLECTOR_HTTP_PORT": str(self.http),
            "COLLECTOR_HEALTH_PORT": str(self.health),
            "COLLECTOR_METRICS_PORT": str(self.metrics),
            "COLLECTOR_QUEUE_DIRECTORY": str(self.place / "queue"),
            "JAEGER_ENDPOINT": self.jaeger,
            "PROMETHEUS_ENDPOINT": self.prometheus,
            "TRACE_DECISION_WAIT": "2s",
            "TRACE_DECISION_WAIT_AFTER_ROOT": "500ms",
            "SPAN_METRICS_INTERVAL": "500ms",
            **self.variables,
        }
        ready = f"http://127.0.0.1:{self.health}/"
        config = str(ROOT / "otel-collector.yaml")
        with running(self.place, "otelcol", "--config", config, ready=ready, **variables) as process:
            yield process

    def post(self, signal_name: str, body: bytes) -> None:
        """An OTLP request, as an exporter sends it."""
        headers = {"content-type": "application/x-protobuf"}
        request = urllib.request.Request(f"{self.url}/v1/{signal_name}", body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 200

    def own(self, metric: str, label: str = "") -> float:
        """The sum of one of its own metrics, of series with that `label="value"`; 0 where it has not told it yet."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        series = re.findall(rf"^{metric}({{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        return math.fsum(float(value) for labels, value in series if label in labels)


# ── Jaeger ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Jaeger:
    """deploy/jaeger/config.yaml on ports of its own."""

    place: Path
    prometheus: str = "http://127.0.0.1:1"
    otlp: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    grpc: int = field(default_factory=free_port)
    metrics: int = field(default_factory=free_port)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """It runs. It may be run again: ports and traces stay."""
        health = free_port()
        variables = {
            **given("jaeger"),
            "JAEGER_LISTEN_HOST": "127.0.0.1",
            "JAEGER_OTLP_PORT": str(self.otlp),
            "JAEGER_HTTP_PORT": str(self.http),
            "JAEGER_GRPC_PORT": str(self.grpc),
            "JAEGER_METRICS_PORT": str(self.metrics),
            "JAEGER_HEALTH_PORT": str(health),
            "JAEGER_DIRECTORY": str(self.place / "badger"),
            "JAEGER_UI_CONFIG": str(ROOT / "deploy/jaeger/ui.json"),
            "PROMETHEUS_ENDPOINT": self.prometheus,
        }
        config = str(ROOT / "deploy/jaeger/config.yaml")
        ready = f"http://127.0.0.1:{health}/status"
        with running(self.place, "jaeger", "--config", config, ready=ready, **variables) as process:
            yield process

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace, by /api/v3; none if it does not know it."""
        try:
            told = fetched(f"http://127.0.0.1:{self.http}/api/v3/traces/{trace_id}")
        except AssertionError as failure:
            if str(failure).startswith("404"):
                return []
            raise
        return [
            Span.of(span, resource)
            for resource in told["result"]["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]


@dataclass(frozen=True, slots=True)
class Span:
    """One span, as Jaeger tells it. Times in nanoseconds since 1970."""

    name: str
    span_id: str
    parent_id: str
    kind: int
    start: int
    end: int
    error: bool
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    links: tuple[str, ...]

    @classmethod
    def of(cls, told: Mapping[str, Any], resource: Mapping[str, Any]) -> Span:
        return cls(
            name=told["name"],
            span_id=told["spanId"],
            parent_id=told.get("parentSpanId", ""),
            kind=int(told["kind"]),
            start=int(told["startTimeUnixNano"]),
            end=int(told["endTimeUnixNano"]),
            error=told.get("status", {}).get("code") in (2, "STATUS_CODE_ERROR"),
            attributes=attributes(told.get("attributes", ())),
            resource=attributes(resource["resource"]["attributes"]),
            links=tuple(link["spanId"] for link in told.get("links", ())),
        )


def attributes(told: Any) -> dict[str, Any]:
    """OTLP's JSON of attributes, as Python has it."""
    return {each["key"]: _value(each["value"]) for each in told}


def _value(told: Mapping[str, Any]) -> Any:
    ((kind, value),) = told.items()
    if kind == "arrayValue":
        return tuple(_value(each) for each in value.get("values", ()))
    return int(value) if kind == "intValue" else value


# ── Prometheus ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Prometheus:
    """deploy/prometheus with the flags of docker-compose.yml; `targets`: host:port in the file -> those of here."""

    place: Path
    targets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def write_config(self, *, fetching: bool) -> None:
        """The deployed file, quicker, with the targets of here. Until it is `fetching` it has neither targets nor rules: what
        is older than what it fetched itself would be refused."""
        config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = (
            [str(ROOT / "deploy/prometheus" / name) for name in config["rule_files"]] if fetching else []
        )
        here = {"localhost:9090": [f"127.0.0.1:{self.port}"], **self.targets}
        for job in config["scrape_configs"]:
            for group in job["static_configs"]:
                group["targets"] = [each for target in group["targets"] for each in here.get(target, ["127.0.0.1:1"])]
        if not fetching:
            del config["scrape_configs"]
        self.place.mkdir(parents=True, exist_ok=True)
        (self.place / "prometheus.yml").write_text(yaml.safe_dump(config))

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """It runs. It may be run again: port and metrics stay."""
        command = composed()["services"]["prometheus"]["command"]
        here = {"--config.file": str(self.place / "prometheus.yml"), "--storage.tsdb.path": str(self.place / "metrics")}
        flags = [_replaced(flag, here) for flag in command] + [f"--web.listen-address=127.0.0.1:{self.port}"]
        with running(self.place, "prometheus", *flags, ready=f"{self.url}/-/ready") as process:
            yield process

    def fetch_from_now_on(self, process: subprocess.Popen[bytes]) -> None:
        """Read targets and rules."""
        self.write_config(fetching=True)
        process.send_signal(signal.SIGHUP)

        def read() -> None:
            assert fetched(f"{self.url}/api/v1/rules")["data"]["groups"]

        eventually(read)

    def query(self, expr: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """The series of an instant query: labels and value."""
        moment = {} if at is None else {"time": f"{at:.3f}"}
        told = fetched(f"{self.url}/api/v1/query", query=expr, **moment)["data"]
        if told["resultType"] == "scalar":
            return [({}, float(told["result"][1]))]
        return [(each["metric"], float(each["value"][1])) for each in told["result"]]

    def value(self, expr: str, at: float | None = None) -> float:
        """Of the only series."""
        found = self.query(expr, at)
        assert len(found) == 1, f"{expr}: {found}"
        return found[0][1]


def _replaced(flag: str, here: Mapping[str, str]) -> str:
    name, _, _ = flag.partition("=")
    return f"{name}={here[name]}" if name in here else flag


def given(service: str) -> dict[str, str]:
    """The environment that docker-compose.yml gives to a service."""
    return {name: value for name, value in composed()["services"][service]["environment"].items() if value is not None}


@cache
def composed() -> Any:
    """docker-compose.yml as Compose understands it: checked, merged, with the two variables that are needed."""
    told = environment(TOLLBOOK_MASTER_KEY="sk-of-the-tests", GRAFANA_PASSWORD="of-the-tests")
    made = subprocess.run(
        [program("compose"), "docker-compose.yml"],
        cwd=ROOT,
        env=told,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


# ── All of them ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Stack:
    """Collector, Jaeger and Prometheus, connected as in docker-compose.yml. `starved` is a collector whose stores take
    nothing, with the smallest queue there can be: Prometheus watches it as well."""

    collector: Collector
    starved: Collector
    jaeger: Jaeger
    prometheus: Prometheus
    recorded_at: float = 0.0
    """When the last recorded metrics were: queries ask at that moment. Seconds since 1970."""


@contextmanager
def stack(place: Path, history: Callable[[Collector], float]) -> Iterator[Stack]:
    """They run. `history` is given the collector before anything else reaches Prometheus, and answers its last moment."""
    prometheus = Prometheus(place / "prometheus")
    jaeger = Jaeger(place / "jaeger", prometheus=prometheus.url)
    collector = Collector(place / "collector", jaeger=f"127.0.0.1:{jaeger.otlp}", prometheus=prometheus.url)
    starved = Collector(
        place / "starved",
        jaeger=f"127.0.0.1:{jaeger.grpc}",  # where it answers questions, and takes no spans
        prometheus=f"{prometheus.url}/nowhere",
        variables={"COLLECTOR_QUEUE_BYTES": "262144"},
    )
    prometheus.targets = {
        "otel-collector:8888": [f"127.0.0.1:{each.metrics}" for each in (collector, starved)],
        "jaeger:8888": [f"127.0.0.1:{jaeger.metrics}"],
    }
    prometheus.write_config(fetching=False)
    with prometheus.running() as process, jaeger.running(), collector.running(), starved.running():
        found = Stack(collector, starved, jaeger, prometheus)
        found.recorded_at = history(collector)
        last = f"timestamp(tollbook_ledger_lag_seconds{{instance='recorded'}}) >= {found.recorded_at:.0f}"
        eventually(lambda: prometheus.value(last, found.recorded_at))
        prometheus.fetch_from_now_on(process)
        yield found
