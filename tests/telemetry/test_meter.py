"""Sums stay right: alone, together, over the bound of series, and in Prometheus's words."""

from __future__ import annotations

import re
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tollbook.telemetry import prometheus
from tollbook.telemetry.instruments import Instrument, Instruments
from tollbook.telemetry.meter import MOST_SERIES, OTHER, Meter, Snapshot, added, decode

COUNTER = Instrument("a.counter", "counter", "{call}", "Calls.", ("kind", "who"))
MONEY = Instrument("a.cost", "counter", "USD", "Money.", ("kind",), scale=10**9)
SPREAD = Instrument("a.duration", "histogram", "s", "Time.", ("kind",), (0.1, 1.0))
GAUGE = Instrument("a.size", "gauge", "By", "Bytes.", ("kind",))
OLDEST = Instrument("an.age", "gauge", "s", "Age.", (), together="max")
ALL = [COUNTER, MONEY, SPREAD, GAUGE, OLDEST]

_counts = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2**40)), max_size=30)
_times = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 10)), max_size=30)


def filled(counts: list[tuple[str, int]], times: list[tuple[str, float]]) -> Meter:
    meter = Meter(ALL)
    meter.record([(COUNTER, (kind, "x"), amount) for kind, amount in counts])
    meter.record([(SPREAD, (kind,), seconds) for kind, seconds in times])
    return meter


@given(st.lists(st.tuples(_counts, _times), min_size=1, max_size=4))
def test_workers_together_are_one_that_did_it_all(
    parts: list[tuple[list[tuple[str, int]], list[tuple[str, float]]]],
) -> None:
    together = added([filled(*part).snapshot() for part in parts], ALL)
    alone = filled([each for counts, _ in parts for each in counts], [each for _, times in parts for each in times])

    expected = added([alone.snapshot()], ALL)

    def totals(snapshot: Snapshot) -> dict[object, int]:
        return {values: total.value for values, total in snapshot.totals[COUNTER.name]}

    def counts(snapshot: Snapshot) -> dict[object, object]:
        found = snapshot.spreads[SPREAD.name]
        return {values: (spread.counts, spread.count, spread.least, spread.most) for values, spread in found}

    assert totals(together) == totals(expected)
    assert counts(together) == counts(expected)


def test_gauges_of_workers_are_added_or_the_worst_is_told() -> None:
    one, other = Meter(ALL), Meter(ALL)
    for meter, size in ((one, 3), (other, 4)):
        meter.watch(GAUGE, lambda size=size: [(("x",), size)])
        meter.watch(OLDEST, lambda size=size: [((), size)])

    together = added([one.snapshot(), other.snapshot()], ALL)

    assert together.gauges == {GAUGE.name: [(("x",), 7)], OLDEST.name: [((), 4)]}


def test_beyond_the_bound_of_series_sums_stay_right() -> None:
    meter = Meter(ALL)
    for n in range(MOST_SERIES + 500):
        meter.record([(COUNTER, (f"kind {n}", "x"), 1)])

    series = dict(meter.snapshot().totals[COUNTER.name])

    assert len(series) == MOST_SERIES + 1
    assert sum(total.value for total in series.values()) == MOST_SERIES + 500
    assert series[OTHER, OTHER].value == 500


def test_a_snapshot_survives_being_written_down() -> None:
    meter = filled([("a", 5)], [("b", 0.5)])
    meter.record([(MONEY, ("a",), 7)], ("1" * 32, "2" * 16))

    assert decode(meter.encoded()) == meter.snapshot()


def test_money_is_told_to_the_nano_dollar() -> None:
    meter = Meter(ALL)
    meter.record([(MONEY, ("a",), 9_007_199_254_740_993)])

    text = prometheus.render(meter.snapshot(), ALL, {}).decode()

    assert 'a_cost_USD_total{kind="a"} 9007199.254740993' in text


_LINE = re.compile(
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)( # .*)?'
)


@given(st.lists(st.tuples(st.text(max_size=10), st.integers(0, 10**12), st.floats(0, 100)), min_size=1, max_size=10))
def test_whatever_labels_say_every_line_can_be_read(told: list[tuple[str, int, float]]) -> None:
    meter = Meter(ALL)
    for kind, amount, seconds in told:
        meter.record([(MONEY, (kind,), amount), (SPREAD, (kind,), seconds)], ("1" * 32, "2" * 16))

    for open_metrics in (False, True):
        text = prometheus.render(meter.snapshot(), ALL, {"service.name": "t"}, open_metrics=open_metrics).decode()
        lines = text.removesuffix("\n").split("\n")
        samples = [line for line in lines if not line.startswith("#")]
        assert all(_LINE.fullmatch(line) for line in samples)
        money = sum(
            Decimal(line.split(" # ")[0].rpartition(" ")[2]) for line in samples if line.startswith("a_cost_USD_total")
        )
        assert money == Decimal(sum(amount for _, amount, _ in told)) / 10**9
        assert (lines[-1] == "# EOF") == open_metrics
        assert any(" # {trace_id=" in line for line in samples) == open_metrics


def test_buckets_are_cumulative_and_the_last_is_the_count() -> None:
    meter = Meter(ALL)
    meter.record([(SPREAD, ("x",), seconds) for seconds in (0.1, 0.5, 5.0)])

    text = prometheus.render(meter.snapshot(), ALL, {}).decode()

    assert re.findall(r'a_duration_seconds_bucket\{kind="x",le="([^"]+)"\} (\d+)', text) == [
        ("0.1", "1"),
        ("1", "2"),
        ("+Inf", "3"),
    ]
    assert 'a_duration_seconds_sum{kind="x"} 5.6' in text
    assert 'a_duration_seconds_count{kind="x"} 3' in text


def test_every_metric_has_the_name_that_otlp_gives_it_in_prometheus() -> None:
    """As OpenTelemetry's translation makes it: dots to underscores, the unit at the end, `_total` for counters."""
    assert {prometheus.name_of(each) + ("_total" if each.kind == "counter" else "") for each in Instruments.of()} == {
        "http_server_request_duration_seconds",
        "http_server_active_requests",
        "gen_ai_client_operation_duration_seconds",
        "gen_ai_client_token_usage",
        "gen_ai_client_inference_operation_input_tokens",
        "gen_ai_client_inference_operation_output_tokens",
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "gen_ai_client_operation_cost_USD",
        "tollbook_tokens_total",
        "tollbook_cost_USD_total",
        "tollbook_requests_total",
        "tollbook_attempts_total",
        "tollbook_output_speed_per_second",
        "tollbook_overhead_seconds",
        "tollbook_cost_unpriced_total",
        "tollbook_cost_saved_USD_total",
        "tollbook_cache_requests_total",
        "tollbook_telemetry_dropped_total",
        "tollbook_telemetry_spooled_bytes",
        "tollbook_ledger_lag_seconds",
        "tollbook_budget_remaining_USD",
    }


def test_the_names_that_are_coming_are_a_switch_away() -> None:
    new = {each.name for each in Instruments.of("latest")}

    assert "gen_ai.client.inference.duration" in new
    assert "gen_ai.client.inference.time_to_first_chunk" in new
    assert "gen_ai.client.operation.duration" not in new
