"""GET /metrics: who may see it, and that it says what the books say - over any number of workers."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from .asking import ask, stream
from .receiver import SERVER, Collector, points
from .running import MASTER, Gateway, running, until

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def scraped(http: httpx.Client) -> list[tuple[str, dict[str, str], Decimal]]:
    """Name, labels and value of every sample."""
    answer = http.get("/metrics")
    assert answer.status_code == 200
    return [
        (name, dict(_LABEL.findall(labels)), Decimal(value)) for name, labels, value in _SAMPLE.findall(answer.text)
    ]


def total(samples: list[tuple[str, dict[str, str], Decimal]], metric: str, **labels: str) -> Decimal:
    """The sum of a metric's series that have these labels."""
    chosen = (value for name, have, value in samples if name == metric and labels.items() <= have.items())
    return sum(chosen, Decimal(0))


def test_the_master_key_opens_metrics_and_no_other_does(gateway: Gateway, http: httpx.Client) -> None:
    secret = http.post("/v1/keys", json={"alias": "metrics-reader"}).json()["secret"]

    assert http.get("/metrics").status_code == 200
    with gateway.client(secret) as ordinary, gateway.client(None) as nobody:
        assert ordinary.get("/metrics").status_code == 403
        assert nobody.get("/metrics").status_code == 401


def test_prometheus_and_openmetrics_are_told_apart_by_accept(http: httpx.Client) -> None:
    ask(http, "simulated/echo")

    plain = http.get("/metrics", headers={"accept": "text/plain"})
    opened = http.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})

    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert " # {" not in plain.text
    assert opened.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert opened.text.endswith("# EOF\n")
    assert re.search(
        r'tollbook_cost_USD_total\{.*\} \S+ # \{trace_id="[0-9a-f]{32}",span_id="[0-9a-f]{16}"\}', opened.text
    )


@pytest.fixture(scope="module")
def open_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Collector]]:
    """One without a master key, with deployments that fail, fall back, cache and have no price."""
    prices = {"input_cost_per_token": 2.5e-6, "output_cost_per_token": 1e-5, "cache_read_input_token_cost": 2.5e-7}
    config = {
        "model_list": [
            {"model_name": "plain", "litellm_params": {"model": "simulated/echo", **prices}},
            {"model_name": "cached", "litellm_params": {"model": "simulated/story:cached=40", **prices}},
            {"model_name": "again", "litellm_params": {"model": "simulated/story:fault=500,fails=1", "max_retries": 2}},
            {"model_name": "falls", "litellm_params": {"model": "simulated/story:cut=7", "max_retries": 0}},
            {
                "model_name": "broken",
                "litellm_params": {"model": "simulated/story:fault=503", "max_retries": 0, **prices},
            },
            {"model_name": "any/*", "litellm_params": {"model": "simulated/*", **prices}},
        ],
        "router_settings": {"fallbacks": [{"falls": ["plain"]}], "disable_cooldowns": True},
    }
    with Collector() as collector:
        folder = tmp_path_factory.mktemp("metrics")
        with running(folder, config, environment=collector.environment, key=None) as gateway:
            yield gateway, collector


def test_an_open_gateway_tells_its_metrics_to_this_machines_programs_only(
    open_gateway: tuple[Gateway, Collector],
) -> None:
    gateway, _ = open_gateway
    with gateway.client() as http:
        assert http.get("/metrics").status_code == 200
        assert http.get("/metrics", headers={"host": "evil.example"}).status_code == 403
        assert http.get("/metrics", headers={"origin": "https://evil.example"}).status_code == 403


def test_metrics_can_be_made_public(tmp_path: Path) -> None:
    config = {"general_settings": {"master_key": MASTER}, "telemetry": {"metrics_public": True, "access_log": False}}
    with running(tmp_path, config) as gateway, gateway.client(None) as nobody:
        assert nobody.get("/metrics").status_code == 200
        assert nobody.get("/v1/calls").status_code == 401
        assert '"event":"call"' not in gateway.log


def mixed(gateway: Gateway, http: httpx.Client, number: int) -> list[str]:
    """So many calls of all kinds, some left by their client; their ids."""
    chance = random.Random(7)
    models = ["plain", "cached", "again", "falls", "broken", "any/story:words=9", "nobody"]
    made = []
    for n in range(number):
        model = chance.choice(models)
        if n % 5 == 4:
            body = {"model": "any/story:gap=5", "input": "x", "stream": True}
            with http.stream("POST", "/v1/responses", json=body) as answer:
                next(answer.iter_lines())
                made.append(answer.headers["x-tollbook-call-id"])
        elif n % 2:
            made.append(stream(http, model, f"question {n}").headers["x-tollbook-call-id"])
        else:
            made.append(ask(http, model, f"question {n}").headers["x-tollbook-call-id"])
    return made


@pytest.mark.parametrize("number", [150, pytest.param(10_000, marks=pytest.mark.slow)])
def test_the_counters_grow_by_what_the_rows_and_the_spans_say(
    open_gateway: tuple[Gateway, Collector], number: int
) -> None:
    gateway, collector = open_gateway
    with gateway.client() as http:
        before = scraped(http)
        made = mixed(gateway, http, number)
        rows = [gateway.call(call_id) for call_id in made]
        until(
            lambda: total(scraped(http), "tollbook_requests_total") - total(before, "tollbook_requests_total") == number
        )
        after = scraped(http)

    def grown(metric: str, **labels: str) -> Decimal:
        return total(after, metric, **labels) - total(before, metric, **labels)

    attempts = [attempt for row in rows for attempt in row["attempts"]]
    spent = sum(attempt["cost"]["nano_usd"] or 0 for attempt in attempts)
    assert spent > 0
    assert grown("tollbook_cost_USD_total") == Decimal(spent) / 10**9
    assert spent == sum(row["cost"]["nano_usd"] or 0 for row in rows), "none of these is unpriced"
    assert grown("tollbook_attempts_total") == len(attempts)
    for outcome in ("completed", "failed", "rejected", "client_disconnected"):
        assert grown("tollbook_requests_total", outcome=outcome) == sum(row["outcome"] == outcome for row in rows)
    used = [attempt["usage"] for attempt in attempts if attempt["usage"]["source"] != "none"]
    kinds = ("input", "cache_read", "cache_write", "output", "reasoning")
    assert grown("tollbook_tokens_total") == sum(usage[kind] for usage in used for kind in kinds)
    assert grown("tollbook_tokens_total", type="cache_read") == sum(usage["cache_read"] for usage in used)
    asked = [row for row in rows if row["attempts"]]
    assert grown("gen_ai_client_operation_duration_seconds_count", gen_ai_operation_name="chat") == len(asked)
    told = 0
    for row in asked:
        spans = collector.trace(row["trace_id"])
        costs = [span.attributes["tollbook.cost.total"] for span in spans if "tollbook.cost.total" in span.attributes]
        assert costs == [(row["cost"]["nano_usd"] or 0) / 1e9]
        known = {span.span_id for span in spans}
        assert [span.kind for span in spans if not span.parent_id] == [SERVER]
        assert all(span.parent_id in known for span in spans if span.parent_id)
        told += row["cost"]["nano_usd"] or 0
    assert told == spent


def test_ten_thousand_names_of_models_make_few_series(tmp_path: Path) -> None:
    config = {"model_list": [{"model_name": "*", "litellm_params": {"model": "simulated/*"}}]}
    with running(tmp_path, config, key=None) as gateway, gateway.client() as http:
        for n in range(300):
            ask(http, f"junk-{n}")
        ask(http, "echo")

        samples = scraped(http)

    models = {labels["model"] for _, labels, _ in samples if "model" in labels}
    assert models == {"_other", "echo"}
    assert total(samples, "tollbook_attempts_total") == 301


def test_sampled_or_not_the_books_and_the_counters_are_equal(tmp_path: Path) -> None:
    with Collector() as collector:
        environment = {**collector.environment, "OTEL_TRACES_SAMPLER": "always_off"}
        with running(tmp_path, environment=environment, key=None) as gateway, gateway.client() as http:
            answer = ask(http, "simulated/story")
            row = gateway.call(answer.headers["x-tollbook-call-id"])
            samples = scraped(http)
            collector.until(
                lambda: points(collector.metrics["tollbook.cost"]) if "tollbook.cost" in collector.metrics else None
            )

    assert collector.spans == []
    assert answer.headers["traceresponse"].endswith("-00")
    assert row["trace_id"] == answer.headers["x-tollbook-trace-id"]
    assert total(samples, "tollbook_cost_USD_total") == Decimal(row["cost"]["nano_usd"]) / 10**9


def test_any_worker_tells_the_sum_of_all(tmp_path: Path) -> None:
    with (
        running(tmp_path, arguments=["--workers", "2"], key=None) as gateway,
    ):
        served: set[str] = set()

        def spread() -> bool:
            # Each on a connection of its own, so that both workers get some.
            with gateway.client() as fresh:
                served.add(ask(fresh, "simulated/echo").headers["x-tollbook-call-id"])
            logged = {line.partition("worker")[2][:12] for line in gateway.log.splitlines()}
            return len(served) >= 40 and bool(logged)

        until(spread, seconds=30)
        scrapes = []

        def agreed() -> bool:
            with gateway.client() as fresh:
                scrapes.append(int(total(scraped(fresh), "tollbook_requests_total", outcome="completed")))
            return scrapes[-8:] == [len(served)] * 8

        until(agreed, seconds=15, what="every worker's knowing of all calls")
        states = list((tmp_path / "data" / "metrics").glob("*.state"))

    assert len(states) == 2, "two workers have counted"


def test_nothing_secret_is_in_the_metrics(http: httpx.Client) -> None:
    ask(
        http,
        "simulated/echo",
        "canary-in-metrics-19c2",
        user="canary-user-19c2",
        metadata={"tags": "canary-tag-19c2\n"},
    )

    text = http.get("/metrics").text

    assert "19c2" not in text
    assert MASTER not in text


def test_tags_with_line_breaks_and_huge_baggage_break_nothing(
    http: httpx.Client, collector: Collector, gateway: Gateway
) -> None:
    answer = http.post(
        "/v1/responses",
        json={"model": "simulated/echo", "input": "x", "metadata": {"tags": "a\nb=c\r\nd,e"}},
        headers={"x-tollbook-tags": "f", "baggage": "k=v," * 10_000},
    )

    assert answer.status_code == 200
    spans: Any = collector.trace(answer.headers["x-tollbook-trace-id"])
    tags = {k: v for span in spans for k, v in span.attributes.items() if k.startswith("tollbook.tag.")}
    assert len(tags) == 3
    assert not any("\n" in str(value) for value in tags.values())
    lines = [line for line in gateway.log.splitlines() if answer.headers["x-tollbook-call-id"] in line]
    until(lambda: [line for line in gateway.log.splitlines() if answer.headers["x-tollbook-call-id"] in line])
    assert len(lines) <= 1
