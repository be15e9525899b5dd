"""Spans go into the process's own tracer provider; none is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tollbook

SIMULATED = [{"model_name": "echo", "litellm_params": {"model": "simulated/echo"}}]


@pytest.fixture
def kept() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def own(kept: InMemorySpanExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    yield provider
    provider.shutdown()


def named(kept: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in kept.get_finished_spans()}


def check(spans: dict[str, ReadableSpan], response: tollbook.Response) -> None:
    """One inference span under the caller's, one attempt under it, and the cost of the result on it."""
    caller, inference, attempt = spans["caller"], spans["chat echo"], spans["POST"]
    assert caller.context is not None
    assert inference.context is not None
    assert inference.parent is not None
    assert attempt.parent is not None
    assert inference.parent.span_id == caller.context.span_id
    assert attempt.parent.span_id == inference.context.span_id
    assert inference.attributes is not None
    assert response.cost_usd is not None
    assert inference.attributes["gen_ai.usage.cost"] == float(response.cost_usd)
    assert inference.attributes["gen_ai.response.id"] == response.id
    assert response.call is not None
    assert response.call.trace_id == f"{caller.context.trace_id:032x}"


def test_a_call_is_a_child_of_the_current_span(own: TracerProvider, kept: InMemorySpanExporter) -> None:
    caller = own.get_tracer("test").start_as_current_span("caller")
    with tollbook.Router(SIMULATED, store=None, tracer_provider=own) as router, caller:
        response = router.responses("hi", "echo")

    check(named(kept), response)


async def test_so_is_an_asynchronous_stream(own: TracerProvider, kept: InMemorySpanExporter) -> None:
    async with tollbook.Router(SIMULATED, store=None, tracer_provider=own) as router:
        with own.get_tracer("test").start_as_current_span("caller"):
            stream = await router.aresponses("hi", "echo", stream=True)
            async for _ in stream:
                pass

    assert stream.response is not None
    check(named(kept), stream.response)


def test_no_provider_is_installed() -> None:
    with tollbook.Router(SIMULATED, store=None) as router:
        response = router.responses("hi", "echo")

    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert response.call is not None
    assert response.call.trace_id == ""


def test_the_process_own_provider_is_found_also_when_it_is_set_late() -> None:
    script = """
import tollbook
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

router = tollbook.Router(store=None)
router.responses("hi", "simulated/echo")
kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
router.responses("hi", "simulated/echo")
router.close()
print([span.name for span in kept.get_finished_spans()])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)

    assert done.stdout.strip() == "['POST', 'chat simulated/echo']", done.stderr
