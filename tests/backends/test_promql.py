"""Every query of every panel, variable, link and alert, asked of a real Prometheus that holds two recorded weeks."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError

import pytest
import yaml

from .contract import METRICS
from .programs import ROOT, Prometheus, Stack, eventually, fetched
from .recorded import Recorder
from .spans import Trace, request
from .test_dashboards import FILES, panels, sources

pytestmark = pytest.mark.backends

_ALERTS = ROOT / "deploy/prometheus/alerts.yml"
_RATE = "5m"
"""Stands for $__rate_interval: recorded points lie half a minute apart."""
_FALLBACK = re.compile(r"\bor vector\(0\)")
_OURS = tuple({metric.prometheus(name) for name, metric in METRICS.items()})


class Asked(NamedTuple):
    """One query, where it is from, and what Grafana would put in place of its variables."""

    where: str
    expr: str

    def __str__(self) -> str:
        return self.where


def _filled(expr: str, reach: str) -> str:
    told = (
        expr.replace("$__range", reach)
        .replace("$__rate_interval", _RATE)
        .replace("$model", ".*")
        .replace("$team", ".*")
    )
    told = told.replace("$$__tags", 'job="tollbook"')
    assert "$" not in told, told
    return told


def of_panels() -> Iterator[Asked]:
    for file in FILES:
        for panel in panels(file):
            reach = {"now/d": "12h", "now/M": "14d"}.get(panel.get("timeFrom", ""), "24h")
            for target in panel["targets"]:
                yield Asked(f"{file.stem}: {panel['title']} {target['refId']}", _filled(target["expr"], reach))


def of_links() -> Iterator[Asked]:
    for source in sources():
        for query in source["jsonData"].get("tracesToMetrics", {}).get("queries", ()):
            yield Asked(f"trace to metrics: {query['name']}", _filled(query["query"], "24h"))


def of_alerts() -> Iterator[Asked]:
    for group in yaml.safe_load(_ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield Asked(f"alert {rule['alert']}", rule["expr"])


@pytest.fixture(scope="module")
def busy(stack: Stack) -> Stack:
    """The collector has taken, kept and sent spans, refused some, and Prometheus has seen all of it twice."""
    traces = [Trace(), Trace(error=True), Trace({"tollbook.attempts": 2})]
    stack.collector.post("traces", request(*traces))
    stack.starved.post("traces", request(Trace({f"large.{number}": "x" * 32_000 for number in range(10)})))
    stack.starved.post("traces", request(Trace()))
    too_large = Recorder(time.time())
    too_large.add("tollbook.telemetry.spooled_bytes", 1, "x" * 300_000)
    with pytest.raises(HTTPError, match="503"):  # and who sent it may send it again
        stack.starved.post("metrics", too_large.told(time.time()))
    refused = Recorder(time.time())
    refused.add("tollbook.ledger.lag", 1)
    stack.starved.post("metrics", refused.told(time.time()))

    def seen() -> None:
        failed = ("sent_spans", "send_failed_spans", "enqueue_failed_spans", "send_failed_metric_points")
        for name in (*failed, "enqueue_failed_metric_points"):
            assert stack.prometheus.query(f"rate(otelcol_exporter_{name}_total[20s])"), name
        assert stack.prometheus.query('rate(traces_span_metrics_calls_total{job="tollbook"}[20s])')

    eventually(seen)
    return stack


def asked(stack: Stack, expr: str) -> list[tuple[dict[str, str], float]]:
    """The answer: about the gateway at the end of the recording, about the stack itself now."""
    at = stack.recorded_at if any(name in expr for name in _OURS) else time.time()
    return stack.prometheus.query(expr, at)


def metrics_of(prometheus: Prometheus, expr: str) -> set[str]:
    """The metrics that it asks for, as Prometheus's own parser reads it."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if node.get("type") in ("vectorSelector", "matrixSelector") and node.get("name"):
                yield node["name"]
            for inner in node.values():
                yield from walk(inner)
        elif isinstance(node, list):
            for inner in node:
                yield from walk(inner)

    return set(walk(fetched(f"{prometheus.url}/api/v1/parse_query", query=expr)["data"]))


@pytest.mark.parametrize("query", [*of_panels(), *of_links()], ids=str)
def test_it_answers_with_series_of_finite_values(busy: Stack, query: Asked) -> None:
    found = asked(busy, query.expr)

    assert found, query.expr
    assert all(math.isfinite(value) for _, value in found), (query.expr, found)


@pytest.mark.parametrize("query", [*of_panels(), *of_links(), *of_alerts()], ids=str)
def test_every_metric_it_asks_for_exists(busy: Stack, query: Asked) -> None:
    """`or vector(0)` would hide a name that is spelt wrong."""
    names = metrics_of(busy.prometheus, query.expr)
    missing = {name for name in names if not busy.prometheus.query(f"last_over_time({name}[15d])")} - {"ALERTS"}

    assert names
    assert missing == set()


@pytest.mark.parametrize("query", list(of_alerts()), ids=str)
def test_what_an_alert_compares_has_a_value(busy: Stack, query: Asked) -> None:
    """Without its last comparison it answers with series, whether or not it is time to alert."""
    compared = re.sub(r"(?:<=|==|>|<)\s*[\d.]+\s*$", "", query.expr.split(" and ")[0].split(" or ")[0])
    found = asked(busy, compared.replace("absent(", "count("))

    assert found, compared
    assert all(math.isfinite(value) for _, value in found), (compared, found)


def test_the_values_to_choose_from_are_there(busy: Stack) -> None:
    for file in FILES:
        for variable in json.loads(Path(file).read_text())["templating"]["list"]:
            if variable["type"] != "query":
                continue
            asks = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"])
            assert asks is not None, variable["query"]
            metric, label = asks.groups()
            found = fetched(f"{busy.prometheus.url}/api/v1/label/{label}/values", **{"match[]": metric})["data"]
            assert found, variable["query"]


def test_what_prometheus_says_of_money_is_what_was_sent(busy: Stack) -> None:
    """A counter that is new counts from zero: its first calls are part of an increase."""
    total = busy.prometheus.value("sum(tollbook_cost_USD_total)", busy.recorded_at)
    increased = busy.prometheus.value("sum(increase(tollbook_cost_USD_total[16d]))", busy.recorded_at)
    told_by_calls = busy.prometheus.value("sum(gen_ai_client_operation_cost_USD_sum)", busy.recorded_at)

    assert total > 1
    assert increased == pytest.approx(total, rel=1e-3)
    assert told_by_calls == pytest.approx(total, rel=1e-9)


def test_a_point_of_a_chart_has_a_trace(busy: Stack) -> None:
    for metric in ("gen_ai_client_operation_cost_USD_bucket", "gen_ai_client_operation_duration_seconds_bucket"):
        start, end = busy.recorded_at - 3600, busy.recorded_at + 1
        url = f"{busy.prometheus.url}/api/v1/query_exemplars"
        told = fetched(url, query=metric, start=f"{start:.0f}", end=f"{end:.0f}")["data"]
        ids = [exemplar["labels"]["trace_id"] for series in told for exemplar in series["exemplars"]]
        assert len(ids) > 50
        assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)
