"""The gateway's metrics: names, units, labels. What dashboards and alerts rely on, and what the recorded ones are made by.

`test_contract.py` holds this table against the gateway's own.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["counter", "histogram", "gauge"]


class Metric(NamedTuple):
    """One metric, as it is sent over OTLP."""

    kind: Kind
    unit: str
    labels: tuple[str, ...]

    def prometheus(self, name: str) -> str:
        """Its name there, without _bucket, _sum and _count (OTLP's translation with suffixes)."""
        base = name.replace(".", "_")
        suffix = {"s": "seconds", "USD": "USD", "By": "bytes", "{token}/s": "per_second"}.get(self.unit, "")
        if suffix and not base.endswith(f"_{suffix}"):
            base += f"_{suffix}"
        return f"{base}_total" if self.kind == "counter" else base


_MODEL = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model")

METRICS = {
    "http.server.request.duration": Metric(
        "histogram", "s", ("http.request.method", "http.route", "http.response.status_code")
    ),
    "http.server.active_requests": Metric("gauge", "{request}", ("http.request.method",)),
    "gen_ai.client.operation.duration": Metric("histogram", "s", (*_MODEL, "error.type")),
    "gen_ai.client.token.usage": Metric("histogram", "{token}", (*_MODEL, "gen_ai.token.type")),
    "gen_ai.client.operation.time_to_first_chunk": Metric("histogram", "s", _MODEL),
    "gen_ai.client.operation.cost": Metric("histogram", "USD", _MODEL),
    "tollbook.tokens": Metric("counter", "{token}", ("provider", "model", "type")),
    "tollbook.cost": Metric("counter", "USD", ("provider", "model", "service_tier", "team", "key", "component")),
    "tollbook.requests": Metric("counter", "{request}", ("route", "outcome", "team", "key")),
    "tollbook.attempts": Metric("counter", "{attempt}", ("provider", "model", "reason", "result")),
    "tollbook.output_speed": Metric("histogram", "{token}/s", ("provider", "model")),
    "tollbook.overhead": Metric("histogram", "s", ("route",)),
    "tollbook.cost.unpriced": Metric("counter", "{request}", ("provider", "model")),
    "tollbook.cost.saved": Metric("counter", "USD", ("reason", "provider", "model")),
    "tollbook.cache.requests": Metric("counter", "{request}", ("result",)),
    "tollbook.telemetry.dropped": Metric("counter", "{item}", ("signal", "reason")),
    "tollbook.telemetry.spooled_bytes": Metric("gauge", "By", ("signal",)),
    "tollbook.ledger.lag": Metric("gauge", "s", ()),
    "tollbook.budget.remaining": Metric("gauge", "USD", ("scope", "name", "window")),
}
