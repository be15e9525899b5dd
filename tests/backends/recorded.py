"""Two weeks of a busy gateway, as the OTLP it would have sent: the same every time.

Prices and models are made up; names, units and labels are the contract's. The last hour is dense, the hour a week ago dense
enough for a comparison, and the rest sparse: what a chart asks for is there, and loading it takes seconds.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric

from .contract import METRICS
from .programs import Collector

_BUCKETS = {
    "s": (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
    "USD": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    "{token}": (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576),
    "{token}/s": (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0),
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(slots=True)
class _Series:
    total: float = 0.0
    counts: list[int] = field(default_factory=list)
    exemplar: tuple[float, str] | None = None


class Recorder:
    """Counts as a gateway does, since `began` (seconds since 1970), and tells it at any moment."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._series: dict[str, dict[tuple[str, ...], _Series]] = {name: {} for name in METRICS}

    def add(self, name: str, amount: float, *values: str, trace: str = "") -> None:
        """A measurement, its values in the order of the metric's labels; of a gauge, its reading."""
        metric = METRICS[name]
        assert len(values) == len(metric.labels), (name, values)
        series = self._series[name].setdefault(values, _Series())
        series.total = amount if metric.kind == "gauge" else series.total + amount
        if metric.kind == "histogram":
            buckets = _BUCKETS[metric.unit]
            series.counts = series.counts or [0] * (len(buckets) + 1)
            series.counts[bisect_left(buckets, amount)] += 1
        if trace:
            series.exemplar = (amount, trace)

    def told(self, moment: float) -> bytes:
        """All of it, as a request to a collector."""
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        for key, text in (
            ("service.name", "tollbook"),
            ("service.instance.id", "recorded"),
            ("service.version", "0.1.0"),
            ("deployment.environment.name", "test"),
        ):
            resource.resource.attributes.append(KeyValue(key=key, value=AnyValue(string_value=text)))
        scope = resource.scope_metrics.add()
        scope.scope.name = "tollbook"
        for name, all_series in self._series.items():
            if all_series:
                self._write(scope.metrics.add(), name, all_series, moment)
        return request.SerializeToString()

    def _write(self, message: Metric, name: str, all_series: dict[tuple[str, ...], _Series], moment: float) -> None:
        metric = METRICS[name]
        message.name, message.unit = name, metric.unit
        data = {"counter": message.sum, "histogram": message.histogram, "gauge": message.gauge}[metric.kind]
        if metric.kind != "gauge":
            data.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        if metric.kind == "counter":
            message.sum.is_monotonic = True
        for values, series in all_series.items():
            point = data.data_points.add()
            point.time_unix_nano = int(moment * 1e9)
            for label, value in zip(metric.labels, values, strict=True):
                if value:
                    point.attributes.append(KeyValue(key=label, value=AnyValue(string_value=value)))
            if metric.kind != "gauge":
                point.start_time_unix_nano = int(self._began * 1e9)
            if metric.kind == "histogram":
                point.sum, point.count = series.total, sum(series.counts)
                point.bucket_counts.extend(series.counts)
                point.explicit_bounds.extend(_BUCKETS[metric.unit])
            else:
                point.as_double = series.total
            if series.exemplar is not None:
                amount, trace = series.exemplar
                exemplar = point.exemplars.add()
                exemplar.as_double, exemplar.time_unix_nano = amount, int(moment * 1e9)
                exemplar.trace_id, exemplar.span_id = bytes.fromhex(trace), bytes.fromhex(trace[:16])
                series.exemplar = None


_MODELS = (
    # provider, as the convention says, model, USD for a million tokens of input and output
    ("openai", "openai", "gpt-5-mini", 0.25, 2.0),
    ("anthropic", "anthropic", "claude-sonnet-4-5", 3.0, 15.0),
    ("gemini", "gcp.gemini", "gemini-2.5-flash", 0.3, 2.5),
)
_TEAMS = ("search", "support", "")
_ROUTE = "/v1/responses"


def calls(recorder: Recorder, chance: Random, count: int) -> None:
    """That many calls of all kinds."""
    for _ in range(count):
        provider, convention, model, price_in, price_out = chance.choice(_MODELS)
        team = chance.choice(_TEAMS)
        who = (team, f"{team}-key" if team else "")
        trace = f"{chance.getrandbits(128):032x}"
        operation = ("chat", convention, model, model)
        fate = chance.choices(("completed", "incomplete", "failed", "client_disconnected"), (90, 3, 4, 3))[0]
        error = {"failed": chance.choice(("overloaded", "timeout")), "client_disconnected": "client_disconnected"}.get(
            fate, ""
        )
        seconds = chance.lognormvariate(1.0, 0.6)
        first = seconds * chance.uniform(0.1, 0.4)
        fresh, cached = chance.randint(50, 4000), chance.choice((0, 0, 2000))
        visible, thought = chance.randint(20, 800), chance.choice((0, 300))

        if chance.random() < 0.1:
            recorder.add("tollbook.attempts", 1, provider, model, "initial", "rate_limit")
            reason = chance.choice(("retry", "fallback", "hedge"))
        else:
            reason = "initial"
        recorder.add("tollbook.attempts", 1, provider, model, reason, error or "2xx")
        recorder.add("tollbook.requests", 1, _ROUTE, fate, *who)
        status = "502" if fate == "failed" else "200"
        recorder.add("http.server.request.duration", seconds, "POST", _ROUTE, status, trace=trace)
        recorder.add("gen_ai.client.operation.duration", seconds, *operation, error, trace=trace)
        recorder.add("tollbook.overhead", chance.uniform(0.001, 0.02), _ROUTE)
        if fate == "failed":
            continue
        recorder.add("gen_ai.client.operation.time_to_first_chunk", first, *operation, trace=trace)
        recorder.add("gen_ai.client.token.usage", fresh + cached, *operation, "input")
        recorder.add("gen_ai.client.token.usage", visible + thought, *operation, "output")
        recorder.add("tollbook.output_speed", (visible + thought) / (seconds - first), provider, model)
        recorder.add("tollbook.cache.requests", 1, "hit" if cached else "miss")
        spent = 0.0
        for kind, component, tokens, price in (
            ("input_uncached", "input", fresh, price_in),
            ("cache_read", "cache_read", cached, price_in / 10),
            ("output_visible", "output", visible, price_out),
            ("reasoning", "reasoning", thought, price_out),
        ):
            if tokens:
                cost = tokens * price / 1e6
                spent += cost
                recorder.add("tollbook.tokens", tokens, provider, model, kind)
                recorder.add("tollbook.cost", cost, provider, model, "default", *who, component)
        recorder.add("gen_ai.client.operation.cost", spent, *operation, trace=trace)
        if cached:
            recorder.add("tollbook.cost.saved", cached * price_in * 0.9 / 1e6, "prompt_cache", provider, model)


def moments(end: float) -> Iterator[float]:
    """When it was told, oldest first."""
    a_week_ago = end - 7 * _DAY
    moment = end - 15 * _DAY
    while moment < a_week_ago - 2 * _HOUR:
        yield moment
        moment += 4 * _HOUR
    moment = a_week_ago - 90 * _MINUTE
    while moment < a_week_ago + 15 * _MINUTE:
        yield moment
        moment += 4 * _MINUTE
    moment = a_week_ago + 2 * _HOUR
    while moment < end - 2 * _HOUR:
        yield moment
        moment += 4 * _HOUR
    moment = end - 75 * _MINUTE
    while moment < end:
        yield moment
        moment += 30
    yield end


def history(collector: Collector) -> float:
    """Two weeks until now, sent to a collector. Answers the last moment."""
    chance = Random(7)
    end = float(int(time.time()))
    recorder = Recorder(end - 15 * _DAY - 1)
    budget = 1000.0
    for moment in moments(end):
        calls(recorder, chance, 20)
        budget -= 2.0
        recorder.add("tollbook.budget.remaining", budget, "team", "search", "month")
        recorder.add("tollbook.ledger.lag", chance.uniform(0.0, 2.0))
        recorder.add("http.server.active_requests", chance.randint(0, 30), "POST")
        for signal in ("traces", "metrics"):
            recorder.add("tollbook.telemetry.spooled_bytes", chance.randint(0, 100_000), signal)
        recorder.add("tollbook.telemetry.dropped", chance.choice((0, 3)), "traces", "queue_full")
        recorder.add("tollbook.cost.unpriced", chance.choice((0, 1)), "openai", "gpt-unheard-of")
        collector.post("metrics", recorder.told(moment))
    return end
