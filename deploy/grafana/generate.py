"""The dashboards, from short lines to Grafana's JSON: python deploy/grafana/generate.py

Grafana reads `dashboards/*.json`; whoever changes a panel changes it here and runs this. Units are Grafana's ids
(https://github.com/grafana/grafana/blob/main/packages/grafana-data/src/valueFormats/categories.ts).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

FOLDER = Path(__file__).parent / "dashboards"

_SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
_TAG = "tollbook"
_WIDTH = 24
"""Columns of Grafana's grid."""

Panel: TypeAlias = stat.Panel | timeseries.Panel | bargauge.Panel
Query: TypeAlias = tuple[str, str]
"""What a series is called ({{label}}), and its PromQL."""


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: rows of panels that share the width. `variables`: name -> the query for its values."""

    uid: str
    title: str
    description: str
    variables: dict[str, str]
    rows: dict[str, list[list[Panel]]]
    since: str = "now-24h"


def number(
    title: str,
    expr: str,
    unit: str,
    description: str = "",
    *,
    since: str = "",
    bad_from: float | None = None,
    decimals: int | None = None,
) -> stat.Panel:
    """One value, now. `since` looks back to another moment than the dashboard does; red from `bad_from` on."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(_SOURCE)
        .unit(unit)
        .height(4)
        .with_target(prometheus.Dataquery().expr(expr).instant().ref_id("A"))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.VALUE if bad_from is not None else BigValueColorMode.NONE)
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    if since:
        panel = panel.time_from(since)
    if bad_from is not None:
        steps = [Threshold(value=None, color="text"), Threshold(value=bad_from, color="red")]
        panel = panel.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    return panel


def lines(
    title: str, unit: str, *queries: Query, description: str = "", stacked: bool = False, exemplars: bool = False
) -> timeseries.Panel:
    """Values over time. With `exemplars`, points that lead to a trace."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(_SOURCE)
        .unit(unit)
        .min(0)
        .height(8)
        .line_width(1)
        .fill_opacity(20 if stacked else 0)
        .show_points(VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["mean", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for number_of, (legend, expr) in enumerate(queries):
        target = prometheus.Dataquery().expr(expr).range().legend_format(legend).ref_id(chr(ord("A") + number_of))
        panel = panel.with_target(target.exemplar(exemplars))
    return panel


def ranking(title: str, unit: str, legend: str, expr: str, description: str = "") -> bargauge.Panel:
    """The largest, as bars."""
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(_SOURCE)
        .unit(unit)
        .min(0)
        .height(8)
        .orientation(VizOrientation.HORIZONTAL)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(prometheus.Dataquery().expr(expr).instant().legend_format(legend).ref_id("A"))
    )


def quantile(share: float, metric: str, by: str = "", where: str = "") -> str:
    """PromQL of a quantile of a histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, sum by ({labels}) (rate({metric}_bucket{{{where}}}[$__rate_interval])))"


# ── Cost ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

_SPENT = 'tollbook_cost_USD_total{model=~"$model", team=~"$team"}'
_OPERATION_COST = "gen_ai_client_operation_cost_USD"
_LEFT_OF_MONTH = "(days_in_month() * 86400 - (day_of_month() - 1) * 86400 - hour() * 3600 - minute() * 60)"

COST = Board(
    uid="tollbook-cost",
    title="Tollbook: cost",
    description="What is spent, by whom, on what. Counted by the gateway, attempt by attempt; the books are exact.",
    variables={
        "model": "label_values(tollbook_cost_USD_total, model)",
        "team": "label_values(tollbook_cost_USD_total, team)",
    },
    rows={
        "Spend": [
            [
                number("In this range", f"sum(increase({_SPENT}[$__range]))", "currencyUSD"),
                number("Today", f"sum(increase({_SPENT}[$__range]))", "currencyUSD", since="now/d"),
                number("This month", f"sum(increase({_SPENT}[$__range]))", "currencyUSD", since="now/M"),
                number(
                    "Month, at this pace",
                    f"sum(increase({_SPENT}[$__range])) + sum(rate({_SPENT}[1d])) * {_LEFT_OF_MONTH}",
                    "currencyUSD",
                    "What is spent since the first (UTC), and the rest of the month as the last day went.",
                    since="now/M",
                ),
                number(
                    "Against last week",
                    f"sum(increase({_SPENT}[7d])) / sum(increase({_SPENT}[7d] offset 7d)) - 1",
                    "percentunit",
                    "Seven days against the seven before.",
                    decimals=0,
                ),
                number(
                    "Least left of a budget",
                    "min(tollbook_budget_remaining_USD)",
                    "currencyUSD",
                    "Empty where there is no budget.",
                ),
            ],
            [
                lines(
                    "By model",
                    "currencyUSD",
                    ("{{model}}", f"sum by (model) (rate({_SPENT}[$__rate_interval])) * 3600"),
                    description="USD an hour.",
                    stacked=True,
                ),
                lines(
                    "By component",
                    "currencyUSD",
                    ("{{component}}", f"sum by (component) (rate({_SPENT}[$__rate_interval])) * 3600"),
                    description="USD an hour. Components exclude each other: they add up to the whole.",
                    stacked=True,
                ),
            ],
            [
                ranking(
                    "Models", "currencyUSD", "{{model}}", f"topk(10, sum by (model) (increase({_SPENT}[$__range])))"
                ),
                ranking("Teams", "currencyUSD", "{{team}}", f"topk(10, sum by (team) (increase({_SPENT}[$__range])))"),
                ranking(
                    "Service tiers",
                    "currencyUSD",
                    "{{service_tier}}",
                    f"topk(10, sum by (service_tier) (increase({_SPENT}[$__range])))",
                    "As served, not as asked for.",
                ),
            ],
        ],
        "Calls": [
            [
                lines(
                    "Cost of a call",
                    "currencyUSD",
                    ("half cost less", quantile(0.5, _OPERATION_COST)),
                    ("19 of 20 cost less", quantile(0.95, _OPERATION_COST)),
                    ("99 of 100 cost less", quantile(0.99, _OPERATION_COST)),
                    description="A point is a call: click it for its trace.",
                    exemplars=True,
                ),
                lines(
                    "Tokens",
                    "short",
                    ("{{type}}", 'sum by (type) (rate(tollbook_tokens_total{model=~"$model"}[$__rate_interval])) * 60'),
                    description="Tokens a minute. Types exclude each other: they add up to the total.",
                    stacked=True,
                ),
            ],
            [
                number(
                    "Spared by prompt caches",
                    "sum(increase(tollbook_cost_saved_USD_total[$__range]))",
                    "currencyUSD",
                    "Against the rate of uncached input; what it took to write the caches is not subtracted.",
                ),
                number(
                    "Calls that hit a prompt cache",
                    'sum(increase(tollbook_cache_requests_total{result="hit"}[$__range]))'
                    " / sum(increase(tollbook_cache_requests_total[$__range]))",
                    "percentunit",
                    decimals=0,
                ),
                number(
                    "Calls without a price",
                    "sum(increase(tollbook_cost_unpriced_total[$__range])) or vector(0)",
                    "short",
                    "They are in no sum of this page. Unknown is not zero.",
                    bad_from=1,
                    decimals=0,
                ),
                number(
                    "USD for a million tokens",
                    f"sum(increase({_SPENT}[$__range]))"
                    ' / sum(increase(tollbook_tokens_total{model=~"$model"}[$__range])) * 1e6',
                    "currencyUSD",
                    "All kinds of tokens together.",
                ),
            ],
        ],
    },
)

# ── Reliability and latency ─────────────────────────────────────────────────────────────────────────────────────────────

_DURATION = "gen_ai_client_operation_duration_seconds"
_FIRST = "gen_ai_client_operation_time_to_first_chunk_seconds"
_ASKED = 'gen_ai_operation_name="chat", gen_ai_request_model=~"$model"'
_WELL = "2xx|completed|incomplete|cancelled|client_disconnected"

RELIABILITY = Board(
    uid="tollbook-reliability",
    title="Tollbook: reliability and latency",
    description="How calls end and how long they take, for clients and at each provider.",
    variables={"model": f"label_values({_DURATION}_count, gen_ai_request_model)"},
    rows={
        "Calls": [
            [
                number("Calls a minute", "sum(rate(tollbook_requests_total[$__rate_interval])) * 60", "short"),
                number(
                    "Failed",
                    '(sum(increase(tollbook_requests_total{outcome="failed"}[$__range])) or vector(0))'
                    ' / sum(increase(tollbook_requests_total{outcome!="rejected"}[$__range]))',
                    "percentunit",
                    "After retries and fallbacks.",
                    bad_from=0.05,
                    decimals=2,
                ),
                number(
                    "Saved by another attempt",
                    'sum(increase(tollbook_attempts_total{reason!="initial", result=~"2xx|completed|incomplete"}[$__range]))'
                    " or vector(0)",
                    "short",
                    "Retries, fallbacks and hedges that answered.",
                    decimals=0,
                ),
                number("Being answered", "sum(http_server_active_requests)", "short", decimals=0),
                number("First output, median", quantile(0.5, _FIRST, where=_ASKED), "s"),
                number("The gateway’s own time, 95 %", quantile(0.95, "tollbook_overhead_seconds"), "s"),
            ],
            [
                lines(
                    "By outcome",
                    "reqps",
                    ("{{outcome}}", "sum by (outcome) (rate(tollbook_requests_total[$__rate_interval]))"),
                    stacked=True,
                ),
                lines(
                    "Errors",
                    "reqps",
                    (
                        "{{gen_ai_provider_name}}: {{error_type}}",
                        "sum by (gen_ai_provider_name, error_type)"
                        f' (rate({_DURATION}_count{{error_type!="", {_ASKED}}}[$__rate_interval]))',
                    ),
                    description="What clients were told, by kind.",
                ),
            ],
        ],
        "Time": [
            [
                lines(
                    "Duration",
                    "s",
                    ("half", quantile(0.5, _DURATION, where=_ASKED)),
                    ("19 of 20", quantile(0.95, _DURATION, where=_ASKED)),
                    ("99 of 100", quantile(0.99, _DURATION, where=_ASKED)),
                    description="Retries and fallbacks included. A point is a call: click it for its trace.",
                    exemplars=True,
                ),
                lines(
                    "Until the first output",
                    "s",
                    ("half", quantile(0.5, _FIRST, where=_ASKED)),
                    ("19 of 20", quantile(0.95, _FIRST, where=_ASKED)),
                    description="Of streams.",
                    exemplars=True,
                ),
            ],
            [
                lines(
                    "Duration by model, 95 %",
                    "s",
                    ("{{gen_ai_request_model}}", quantile(0.95, _DURATION, "gen_ai_request_model", _ASKED)),
                ),
                lines(
                    "Output tokens a second, median",
                    "short",
                    ("{{model}}", quantile(0.5, "tollbook_output_speed_per_second", "model")),
                    description="From the first output to the end.",
                ),
            ],
        ],
        "Providers": [
            [
                lines(
                    "Attempts by result",
                    "reqps",
                    (
                        "{{provider}}: {{result}}",
                        "sum by (provider, result) (rate(tollbook_attempts_total[$__rate_interval]))",
                    ),
                    stacked=True,
                ),
                lines(
                    "Failing attempts",
                    "percentunit",
                    (
                        "{{provider}}",
                        f'sum by (provider) (rate(tollbook_attempts_total{{result!~"{_WELL}"}}[$__rate_interval]))'
                        " / sum by (provider) (rate(tollbook_attempts_total[$__rate_interval]))",
                    ),
                ),
                lines(
                    "Second attempts",
                    "reqps",
                    (
                        "{{reason}}",
                        'sum by (reason) (rate(tollbook_attempts_total{reason!="initial"}[$__rate_interval]))',
                    ),
                ),
            ],
        ],
        "The gateway": [
            [
                lines(
                    "Its own time",
                    "s",
                    ("half", quantile(0.5, "tollbook_overhead_seconds")),
                    ("19 of 20", quantile(0.95, "tollbook_overhead_seconds")),
                    ("99 of 100", quantile(0.99, "tollbook_overhead_seconds")),
                    description="Of a call, what no provider was waited for.",
                ),
                lines(
                    "HTTP requests",
                    "reqps",
                    (
                        "{{http_route}} {{http_response_status_code}}",
                        "sum by (http_route, http_response_status_code)"
                        " (rate(http_server_request_duration_seconds_count[$__rate_interval]))",
                    ),
                ),
            ],
        ],
    },
    since="now-6h",
)

# ── The pipeline ────────────────────────────────────────────────────────────────────────────────────────────────────────

PIPELINE = Board(
    uid="tollbook-pipeline",
    title="Tollbook: books and telemetry",
    description="Whether what is shown can be believed: books up to date, nothing lost on the way.",
    variables={},
    rows={
        "Is it whole?": [
            [
                number(
                    "Books behind",
                    "max(tollbook_ledger_lag_seconds)",
                    "s",
                    "Age of the oldest call that is in a journal and not yet in the tables.",
                    bad_from=60,
                ),
                number(
                    "Dropped by the gateway",
                    "sum(increase(tollbook_telemetry_dropped_total[$__range])) or vector(0)",
                    "short",
                    "Spans and log records that no collector got.",
                    bad_from=1,
                    decimals=0,
                ),
                number(
                    "Given up by the collector",
                    "(sum(increase(otelcol_exporter_send_failed_spans_total[$__range])) or vector(0))"
                    " + (sum(increase(otelcol_exporter_enqueue_failed_spans_total[$__range])) or vector(0))"
                    " + (sum(increase(otelcol_exporter_send_failed_metric_points_total[$__range])) or vector(0))"
                    " + (sum(increase(otelcol_exporter_enqueue_failed_metric_points_total[$__range])) or vector(0))",
                    "short",
                    bad_from=1,
                    decimals=0,
                ),
                number(
                    "Queue, fullest",
                    "max(otelcol_exporter_queue_size / otelcol_exporter_queue_capacity)",
                    "percentunit",
                    bad_from=0.5,
                    decimals=1,
                ),
                number("Alerts", 'count(ALERTS{alertstate="firing"}) or vector(0)', "short", bad_from=1, decimals=0),
                number("Not answering", "count(up == 0) or vector(0)", "short", bad_from=1, decimals=0),
            ],
        ],
        "The gateway": [
            [
                lines("Books behind", "s", ("{{instance}}", "max by (instance) (tollbook_ledger_lag_seconds)")),
                lines(
                    "Waiting for the collector",
                    "bytes",
                    ("{{signal}}", "sum by (signal) (tollbook_telemetry_spooled_bytes)"),
                ),
                lines(
                    "Dropped",
                    "short",
                    (
                        "{{signal}}: {{reason}}",
                        "sum by (signal, reason) (rate(tollbook_telemetry_dropped_total[$__rate_interval]))",
                    ),
                    description="Items a second.",
                ),
            ],
        ],
        "The collector": [
            [
                lines(
                    "Spans",
                    "short",
                    ("taken", "sum(rate(otelcol_receiver_accepted_spans_total[$__rate_interval]))"),
                    (
                        "refused",
                        "sum(rate(otelcol_receiver_refused_spans_total[$__rate_interval])) or vector(0)",
                    ),
                    ("sent", "sum(rate(otelcol_exporter_sent_spans_total[$__rate_interval]))"),
                    description="A second. What is taken and not sent was sampled out, or waits.",
                ),
                lines(
                    "Metric points",
                    "short",
                    ("taken", "sum(rate(otelcol_receiver_accepted_metric_points_total[$__rate_interval]))"),
                    ("sent", "sum(rate(otelcol_exporter_sent_metric_points_total[$__rate_interval]))"),
                    description="A second; more is sent than taken: those of span metrics.",
                ),
                lines(
                    "Traces kept, by the rule that kept them",
                    "short",
                    (
                        "{{policy}}",
                        "sum by (policy) (rate(otelcol_processor_tail_sampling_count_traces_sampled_total"
                        '{decision="sampled"}[$__rate_interval]))',
                    ),
                    description="A second.",
                ),
            ],
            [
                lines(
                    "Queues",
                    "bytes",
                    ("{{exporter}}", "sum by (exporter) (otelcol_exporter_queue_size)"),
                    description="On disk, until the store takes it.",
                ),
                lines("Memory", "bytes", ("resident", "sum(otelcol_process_memory_rss_bytes)")),
                lines(
                    "Traces being decided",
                    "short",
                    ("held", "sum(otelcol_processor_tail_sampling_sampling_traces_on_memory)"),
                ),
            ],
        ],
        "Do spans and calls agree?": [
            [
                lines(
                    "Calls, told twice",
                    "reqps",
                    ("counted by the gateway", "sum(rate(tollbook_requests_total[$__rate_interval]))"),
                    (
                        "seen as spans by the collector",
                        'sum(rate(traces_span_metrics_calls_total{span_kind="SPAN_KIND_SERVER"}[$__rate_interval]))',
                    ),
                    description="Spans that are fewer were lost before the collector, or sampled at the source.",
                ),
                lines(
                    "Samples into Prometheus",
                    "short",
                    ("a second", "sum(rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))"),
                ),
            ],
        ],
    },
    since="now-6h",
)

BOARDS = (COST, RELIABILITY, PIPELINE)


def built(board: Board) -> dashboard.Dashboard:
    """The dashboard, as Grafana's schema has it."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([_TAG])
        .readonly()
        .time(board.since, "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("source").label("Source").type("prometheus"))
        .link(
            dashboard.DashboardLink("Tollbook")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([_TAG])
            .keep_time(True)
            .include_vars(False)
        )
    )
    for name, query in board.variables.items():
        made = made.with_variable(
            dashboard.QueryVariable(name)
            .label(name.capitalize())
            .datasource(_SOURCE)
            .query(query)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(VariableOption(text="All", value="$__all"))
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
        )
    for title, rows in board.rows.items():
        made = made.with_row(dashboard.Row(title))
        for panels in rows:
            for panel in panels:
                made = made.with_panel(panel.span(_WIDTH // len(panels)))
    return made


def rendered(board: Board) -> str:
    """Its JSON."""
    text: str = JSONEncoder(sort_keys=True, indent=2).encode(built(board).build())
    return text + "\n"


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for board in BOARDS:
        (FOLDER / f"{board.uid}.json").write_text(rendered(board), encoding="utf-8")


if __name__ == "__main__":
    main()
