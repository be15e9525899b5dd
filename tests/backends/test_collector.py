"""otel-collector.yaml in a real collector: what is kept, what is masked, what is not lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .programs import ROOT, Collector, Jaeger, Span, Stack, eventually, program
from .spans import Trace, request

pytestmark = pytest.mark.backends

DECIDED = "otelcol_processor_tail_sampling_global_count_traces_sampled_total"


def arrived(jaeger: Jaeger, trace: Trace, spans: int = 3) -> list[Span]:
    """All spans of a trace."""

    def look() -> list[Span]:
        found = jaeger.trace(trace.hex)
        assert len(found) == spans
        return found

    return eventually(look)


def test_the_collector_accepts_the_file() -> None:
    config = str(ROOT / "otel-collector.yaml")
    said = subprocess.run(
        [program("otelcol"), "validate", "--config", config], capture_output=True, text=True, check=False
    )

    assert (said.returncode, said.stdout + said.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("http.request.header.authorization", "Basic dXNlcjpwYXNz", "****"),
        ("x-api-key", "whatever", "****"),
        ("note", "it was sk-tb-0123456789abcdefghij, she said", "it was ****, she said"),
        ("note", "Bearer abcdefghijklmnopqrstuvwxyz", "****"),
        ("note", "AKIAABCDEFGHIJKLMNOP", "****"),
        ("tollbook.key.id", "9f8e7d6c5b4a", "9f8e7d6c5b4a"),
        ("gen_ai.response.id", "resp_01a210d52ca784dec517a17e2cf6d120", "resp_01a210d52ca784dec517a17e2cf6d120"),
        ("gen_ai.usage.input_tokens", 1234567890123456, 1234567890123456),
    ],
)
def test_secrets_are_masked_and_facts_are_not(stack: Stack, name: str, value: str | int, left: str | int) -> None:
    trace = Trace({name: value})
    stack.collector.post("traces", request(trace))

    (chat,) = [span for span in arrived(stack.jaeger, trace) if span.name == "chat made"]
    assert chat.attributes[name] == left


def test_what_matters_is_kept_and_of_the_rest_as_much_as_is_wanted(stack: Stack, tmp_path: Path) -> None:
    nothing_of_the_rest = {"TRACE_PERCENT_OF_THE_REST": "0", "TRACE_SLOW_MS": "5000", "TRACE_EXPENSIVE_USD": "0.05"}
    collector = Collector(
        tmp_path, f"127.0.0.1:{stack.jaeger.otlp}", stack.prometheus.url, variables=nothing_of_the_rest
    )
    kept = {
        "error": Trace(error=True),
        "slow": Trace(seconds=6),
        "expensive": Trace({"tollbook.cost.total": 0.0501}),
        "retried": Trace({"tollbook.attempts": 2}),
        "unpriced": Trace({"tollbook.cost.status": "unpriced"}),
    }
    rest = [Trace({"tollbook.cost.total": 0.0499}) for _ in range(20)]

    with collector.running():
        collector.post("traces", request(*rest, *kept.values()))
        for trace in kept.values():
            arrived(stack.jaeger, trace)
        eventually(lambda: _is(collector.own(DECIDED), 25))

    assert [trace for trace in rest if stack.jaeger.trace(trace.hex)] == []


def _is(found: float, expected: float) -> None:
    assert found == expected


def test_metrics_of_spans_count_all_of_them_whether_kept_or_not(stack: Stack, tmp_path: Path) -> None:
    collector = Collector(tmp_path, prometheus=stack.prometheus.url, variables={"TRACE_PERCENT_OF_THE_REST": "0"})
    route = f"/of/{tmp_path.name}"
    traces = [Trace({"http.route": route, "tollbook.outcome": "completed"}) for _ in range(7)]

    with collector.running():
        for trace in traces:
            collector.post("traces", request(trace))
        counted = f'sum(traces_span_metrics_calls_total{{http_route="{route}", tollbook_outcome="completed"}})'
        eventually(lambda: _is(stack.prometheus.value(counted), 7))
        seconds = f'sum(traces_span_metrics_duration_seconds_sum{{http_route="{route}"}})'
        assert stack.prometheus.value(seconds) == pytest.approx(7, abs=0.01)


def test_a_value_that_jaeger_would_refuse_is_cut_and_spoils_nothing(stack: Stack) -> None:
    trace, neighbour = Trace({"gen_ai.input.messages": "ä" * 100_000}), Trace()
    stack.collector.post("traces", request(trace, neighbour))

    arrived(stack.jaeger, neighbour)
    (chat,) = [span for span in arrived(stack.jaeger, trace) if span.name == "chat made"]
    assert chat.attributes["gen_ai.input.messages"] == "ä" * 16384


def test_a_batch_larger_than_grpc_takes_arrives_in_pieces(stack: Stack) -> None:
    traces = [Trace({f"large.{number}": "x" * 30_000 for number in range(5)}) for _ in range(60)]
    stack.collector.post("traces", request(*traces))

    for trace in traces:
        arrived(stack.jaeger, trace)


def test_what_waits_for_jaeger_survives_the_collectors_sudden_end(tmp_path: Path) -> None:
    jaeger = Jaeger(tmp_path / "jaeger")
    collector = Collector(tmp_path / "collector", jaeger=f"127.0.0.1:{jaeger.otlp}")
    traces = [Trace() for _ in range(50)]

    with collector.running() as process:
        for trace in traces:
            collector.post("traces", request(trace))

        def queued() -> None:
            assert collector.own(DECIDED) == len(traces)
            assert collector.own("otelcol_exporter_queue_size", 'data_type="traces"') > 0

        eventually(queued)
        process.kill()
        process.wait()
    with jaeger.running(), collector.running():
        for trace in traces:
            arrived(jaeger, trace)


def test_what_is_lost_is_counted(stack: Stack) -> None:
    """Stores that refuse, and a queue that is full: both show in the collector's own metrics."""
    small, large = Trace(), Trace({f"large.{number}": "x" * 32_000 for number in range(10)})
    stack.starved.post("traces", request(small))
    stack.starved.post("traces", request(large))

    eventually(lambda: _is(stack.starved.own("otelcol_exporter_send_failed_spans_total"), 3))
    eventually(lambda: _is(stack.starved.own("otelcol_exporter_enqueue_failed_spans_total"), 3))
