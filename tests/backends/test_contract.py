"""The names and labels that dashboards and alerts rely on are those that the gateway has."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import pytest

from .contract import METRICS

EMITS = find_spec("tollbook.telemetry.instruments") is not None
SILENT = "the gateway of this version sends no metrics"


@pytest.mark.skipif(not EMITS, reason=SILENT)
def test_every_metric_of_the_dashboards_is_one_of_the_gateways() -> None:
    told = {
        each.name: (each.kind, each.unit, each.labels)
        for each in import_module("tollbook.telemetry.instruments").Instruments.of()
    }

    assert {name: tuple(metric) for name, metric in METRICS.items()} == {name: told.get(name) for name in METRICS}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tollbook.cost", "tollbook_cost_USD_total"),
        ("tollbook.cost.saved", "tollbook_cost_saved_USD_total"),
        ("tollbook.telemetry.spooled_bytes", "tollbook_telemetry_spooled_bytes"),
        ("tollbook.output_speed", "tollbook_output_speed_per_second"),
        ("gen_ai.client.operation.duration", "gen_ai_client_operation_duration_seconds"),
        ("gen_ai.client.token.usage", "gen_ai_client_token_usage"),
    ],
)
def test_a_metric_has_this_name_in_prometheus(name: str, expected: str) -> None:
    assert METRICS[name].prometheus(name) == expected
